// Console: what a training run prints. On a terminal one live line, otherwise one plain line an
// epoch.
#pragma once

#include <chrono>
#include <string>

#include "runtime/run/training.h"

namespace lockstep {

class Console final : public TrainingObserver {
 public:
  explicit Console(const TrainingConfig& training);

  void line(const std::string& text) override;
  void step(const StepReport& report) override;
  void epoch(const EpochReport& report) override;
  // The last and the best metrics, the run's folder, and what to do with it.
  void finished(const TrainingOutcome& outcome);

 private:
  void clear_live_line();
  void summary(const TrainingOutcome& outcome);

  using Clock = std::chrono::steady_clock;
  bool live_;  // standard output is a terminal
  bool live_line_shown_ = false;
  std::int64_t batch_;
  Clock::time_point start_ = Clock::now(), shown_ = {};
  std::int64_t first_step_ = -1;
};

// "loss 0.4123  accuracy 0.8567"
std::string describe(const Evaluation& evaluation);

}  // namespace lockstep
