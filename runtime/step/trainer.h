// Trainer: one training step across ranks, and the state that a checkpoint holds.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "io/loading/loader.h"
#include "runtime/communication/node_dataset.h"
#include "runtime/config/config.h"
#include "runtime/step/lanes.h"
#include "runtime/step/team.h"
#include "runtime/step/updater.h"

namespace lockstep {

// The state that holds the moving average of the weights, where training.ema is set.
inline constexpr const char* kAverageState = "average";
// The names of the states of a config: the optimizer's, then the average.
std::vector<std::string> state_names(const Config& config);

// The part of a run that one Trainer takes: all of it, or a phase.
struct TrainingSpan {
  double lr = 0;  // what the schedule begins with
  ScheduleConfig schedule;
  std::int64_t first_step = 0, steps = 0;
  FirstSteps first_steps{};  // of parameters that were frozen before
};
// All of a run, without phases.
TrainingSpan whole_run(const Config& config, const BatchPlan& plan);

struct StepResult {
  std::int64_t step = 0;  // counted from 0
  double lr = 0;
  ShardScalars total;        // over all shards of all ranks
  double gradient_norm = 0;  // where training.clip_norm is set
};

// Copies of the flat buffers; on rank 0 alone. States have no values for what is frozen.
struct Snapshot {
  std::int64_t step = 0;  // steps done
  std::vector<float> values;
  std::vector<std::vector<float>> states;
};

class Trainer {
 public:
  // `augmentation`: of the samples, which then are those of the plan's copies of the data; or null.
  Trainer(const Config& config, Team& team, const NodeDataset& data, const BatchPlan& plan,
          TrainingSpan span, std::shared_ptr<const Augmentation> augmentation);

  StepResult step();
  std::int64_t next_step() const { return step_; }
  std::int64_t end_step() const { return span_.first_step + span_.steps; }
  // Of the flat arrays beside the values, in snapshots and checkpoints.
  const std::vector<std::string>& state_names() const { return state_names_; }
  std::int64_t weights_version() const { return weights_version_; }

  // Collectives, between steps, where training.ema is set (else they do nothing): the team computes
  // with the averaged weights, until it takes the trained ones again, before the next step.
  void take_averages();
  void take_weights();

  // Collectives, between steps. A barrier must follow a snapshot before the next step: nobody may
  // touch what rank 0 still copies.
  Snapshot snapshot();
  // Fills values and states by calling `fill(values, states)` where that is this rank's task (an
  // Error of one rank is thrown on all), then continues at `step`, mid-epoch or not. They lie in
  // the host's memory, and meanwhile so do the values of the team's params().
  void restore(std::int64_t step,
               const std::function<void(float* values, std::vector<float*> states)>& fill);

  // Whether later steps keep their gradient for gradient().
  void keep_gradients(bool keep);
  // The last step's, which kept it, as the optimizer saw it: penalties added, clipped, in memory's
  // order. A collective, between steps.
  std::vector<float> gradient(ElementRange range) const;

  // Asks all ranks to stop after the step that carries the flag; safe in a signal handler.
  void request_stop() { stop_requested_.store(true, std::memory_order_relaxed); }

 private:
  void start_loader();
  void warm_up();

  const Config& config_;
  Team& team_;
  NodeDataset data_;
  BatchPlan plan_;
  std::shared_ptr<const Augmentation> augmentation_;
  TrainingSpan span_;
  std::unique_ptr<Optimizer> optimizer_;
  std::vector<std::string> state_names_;
  std::vector<ElementRange> buckets_;
  UpdateRule rule_;
  std::unique_ptr<Exchange> exchange_;
  std::vector<std::unique_ptr<StepNumbers>> numbers_;  // by worker
  std::vector<std::unique_ptr<Lanes>> lanes_;
  std::vector<std::unique_ptr<Updater>> updaters_;
  std::unique_ptr<Loader> loader_;
  std::vector<float> kept_gradient_;  // filled in this rank's slices; empty: not kept
  std::int64_t step_ = 0, weights_version_ = 1;
  std::atomic<bool> stop_requested_ = false;
};

}  // namespace lockstep
