// TrainingRun: what run_training() keeps while it trains. Its setting up is in training_setup.cc,
// its course in training.cc.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/run/library_plans.h"
#include "runtime/run/phase_plan.h"
#include "runtime/run/run_folder.h"
#include "runtime/run/run_log.h"
#include "runtime/run/run_recorder.h"
#include "runtime/run/training.h"

namespace lockstep {

class TrainingRun {
 public:
  TrainingRun(const Config& config, const TrainingRequest& request, Communicator& communicator);
  TrainingOutcome run();

 private:
  bool main_rank() const { return communicator_.rank() == 0; }
  void say(const std::string& line) const {
    if (main_rank()) request_.observer->line(line);
    note(line);
  }
  void note(const std::string& line) const {
    if (request_.log) request_.log->line(line);
  }
  // training_setup.cc: up to the first step.
  void find_checkpoint();
  void set_up_phase();
  void take_plans(const DeviceChoice& device);
  void agree();
  bool may_change(const std::string& key) const;
  void check_resumed() const;
  void start_weights();
  void warm_up();
  void open_folder();
  void open_writer();

  // training.cc: the phases and their steps.
  std::size_t phase() const { return phase_starts_.size() - 1; }
  bool phase_over() const;
  bool over() const { return phase_over() && phase() + 1 == phases_->size(); }
  std::int64_t total_steps() const;  // if no phase ends early
  std::int64_t steps_done() const {
    return trainer_ ? trainer_->next_step() : phase_starts_.back();
  }
  void begin_phase();
  void end_record(const std::string& outcome);
  void end_failed_record(const std::string& outcome);
  void announce(const std::exception& error);

  StepResult step();
  void finish_epoch(std::int64_t epoch, double lr);
  void log_step(const StepResult& result);
  // After the step that is counted from 1.
  bool histograms_due(std::int64_t step) const;
  bool epoch_ends(std::int64_t step) const;  // or a phase
  void agree_on_plans();
  void record_plans();
  bool judge(const Evaluation& validation);  // whether it is the best so far
  void save(bool wait);
  void write_weights();

  const TrainingRequest& request_;
  Communicator& communicator_;
  Config given_;

  // On resume: what rank 0 found. The tensors are on rank 0 until the weights are loaded.
  std::optional<TrainingState> resumed_;
  std::string checkpoint_file_;

  std::unique_ptr<Session> session_;
  std::optional<PhasePlan> phases_;
  std::vector<std::int64_t> phase_starts_{0};  // steps, of the phases so far
  BatchPlan plan_;
  std::unique_ptr<Trainer> trainer_;
  std::optional<ParameterLog> parameter_log_;
  RunIdentity identity_;
  std::optional<LibraryPlans> library_plans_;
  DeclaredState declared_;
  std::optional<RunFolder> folder_;  // rank 0
  std::string folder_path_;
  std::optional<RunLog> log_;
  std::unique_ptr<CheckpointWriter> writer_;
  std::optional<RunRecorder> recorder_;
  TrainingOutcome outcome_;
  bool new_best_ = false;
  using Clock = std::chrono::steady_clock;
  Clock::time_point epoch_start_, next_log_line_;
  double epoch_rows_here_ = 0;  // trained by this process, for the rate
};

}  // namespace lockstep
