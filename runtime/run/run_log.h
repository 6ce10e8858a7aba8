// The numbers that a run writes while it trains, on rank 0: metrics.jsonl, timing.jsonl, and
// TensorBoard's events where the config asks for them.
#pragma once

#include <optional>

#include "runtime/run/metrics_log.h"
#include "runtime/run/run_folder.h"
#include "runtime/run/tensorboard_log.h"
#include "runtime/run/training.h"

namespace lockstep {

class RunLog {
 public:
  // Goes on at `first_step`: what the files say of later steps is dropped.
  RunLog(const RunFolder& folder, const Config& config, std::int64_t first_step);

  // What does not change in a run: hyper-parameters and images, for TensorBoard.
  void begin(const Config& config, const Dataset& data, const Augmentation* augmentation,
             const std::vector<std::string>& metrics);
  void step(const StepReport& report, std::optional<double> gradient_norm);
  void epoch(const EpochReport& report, double lr);
  void histograms(std::int64_t step, const ParamSet& params, std::span<const float> gradient);
  void finished();  // the run is complete

 private:
  std::int64_t every_steps_;
  MetricsLog metrics_, timing_;
  std::optional<TensorBoardLog> tensorboard_;
};

}  // namespace lockstep
