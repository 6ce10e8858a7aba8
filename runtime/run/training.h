// A whole training run: from a session to the last checkpoint, weights and report. Epochs,
// evaluation, early stopping, checkpoints and metrics; one step of it is Trainer::step.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "runtime/run/checkpointing.h"
#include "runtime/run/evaluation.h"
#include "runtime/run/parameter_log.h"
#include "runtime/run/phase_plan.h"
#include "runtime/run/rank_log.h"
#include "runtime/run/session.h"

namespace lockstep {

struct StepReport {
  std::int64_t step = 0, total_steps = 0, epoch = 0, epochs = 0;  // counted from 1
  double lr = 0;
  Evaluation batch;  // loss and metrics of this step's batch
};

struct EpochReport {
  std::int64_t epoch = 0, epochs = 0, step = 0;
  std::int64_t phase = 0;  // counted from 1; 0: the config has no phases
  Evaluation training;     // over the epoch's steps, as they were trained
  std::optional<Evaluation> validation;
  double seconds = 0, samples_per_second = 0;
  std::vector<ShownParameter> parameters;  // log.parameters
};

// Told of what happens, on rank 0 alone.
class TrainingObserver {
 public:
  virtual ~TrainingObserver() = default;
  virtual void line(const std::string& text) = 0;  // something worth a line of the log
  virtual void step(const StepReport& report) = 0;
  virtual void epoch(const EpochReport& report) = 0;
};

struct TrainingRequest {
  std::string out;                        // run folder; empty: runs/<name>-<date>-<time>
  std::string resume;                     // run folder to continue; empty: a new run
  std::vector<std::string> allow_change;  // mathematical keys that may differ on resume
  NetworkFactory networks;
  HeadFinder head;  // for phases that train it
  // Sets the weights that a new run starts with, beyond the initialisers: [model] weights, initial.
  std::function<std::vector<std::string>(const Config&, ParamSet&, Backend&)> initial_weights;
  TrainingObserver* observer = nullptr;  // of rank 0
  RankLog* log = nullptr;                // of every rank
};

struct TrainingOutcome {
  std::string folder;
  std::int64_t step = 0;
  bool interrupted = false;  // a signal asked for it; the checkpoint is written
  Evaluation training;       // of the last epoch
  std::optional<Evaluation> validation;
  // Of the validation part: the metric that early stopping watches, and where it was best.
  std::string best_metric;
  std::optional<double> best_value;
  std::int64_t best_step = 0;
};

// A collective of all ranks.
TrainingOutcome run_training(Config config, const TrainingRequest& request,
                             Communicator& communicator);

// SIGTERM, SIGINT and SIGUSR1 let the running training finish its step, write a checkpoint and end.
void install_stop_signals();

}  // namespace lockstep
