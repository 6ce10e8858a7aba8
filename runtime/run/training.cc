#include "runtime/run/training.h"

#include <chrono>
#include <csignal>

#include "io/formats/checkpoint.h"
#include "io/formats/safetensors.h"
#include "runtime/communication/agreement.h"
#include "runtime/run/training_run.h"

namespace lockstep {

namespace {

volatile std::sig_atomic_t stop_signal = 0;  // the only thing a signal handler may touch

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void add(ShardScalars& sums, const ShardScalars& step) {
  sums.loss += step.loss;
  sums.weight += step.weight;
  sums.rows += step.rows;
  for (std::size_t i = 0; i < sums.metrics.size(); ++i) sums.metrics[i] += step.metrics[i];
}

}  // namespace

void TrainingRun::end_record(const std::string& outcome) {
  note("this start of the run: " + outcome);
  if (recorder_)
    recorder_->end({outcome, steps_done(), outcome_.training, outcome_.validation,
                    outcome_.best_metric, declared_.best_metric, declared_.best_step});
}

// Where the disk is what failed, the record cannot be written either; the first error is told.
void TrainingRun::end_failed_record(const std::string& outcome) {
  try {
    end_record(outcome);
  } catch (const Error&) {
  }
}

TrainingOutcome TrainingRun::run() {
  const Config& config = session_->config();
  const std::int64_t epoch_steps = plan_.steps_per_epoch();
  // Files are read; from here on the ranks work alike, also between steps.
  communicator_.set_patience(config.run.patience_seconds);
  epoch_start_ = Clock::now();
  outcome_.folder = folder_path_;
  outcome_.best_metric = best_rule(config).metric;
  try {
    while (!over()) {
      if (phase_over()) begin_phase();
      const StepResult result = step();
      const std::int64_t done = trainer_->next_step();
      const bool ends_epoch = epoch_ends(done);
      const std::int64_t epoch = (done + epoch_steps - 1) / epoch_steps;
      new_best_ = false;
      if (ends_epoch) finish_epoch(epoch, result.lr);
      if (ends_epoch) agree_on_plans();

      outcome_.interrupted = result.total.stop > 0 && !over();
      const CheckpointConfig& rule = config.checkpoint;
      const bool due = (rule.every_steps > 0 && done % rule.every_steps == 0) ||
                       (ends_epoch && rule.every_epochs > 0 && epoch % rule.every_epochs == 0) ||
                       new_best_ || phase_over() || outcome_.interrupted;
      if (due) save(over() || outcome_.interrupted);
      if (outcome_.interrupted) break;
    }
    outcome_.step = trainer_->next_step();
    outcome_.best_value = declared_.best_metric;
    outcome_.best_step = declared_.best_step;
    if (!outcome_.interrupted) write_weights();
    end_record(outcome_.interrupted ? "interrupted" : "finished");
    if (log_ && !outcome_.interrupted) log_->finished();
  } catch (const PeerFailed&) {
    end_failed_record("failed: another rank");
    throw;
  } catch (const std::exception& error) {
    end_failed_record(fmt::format("failed: {}", error.what()));
    announce(error);
    throw;
  }
  return outcome_;
}

// Of what fails between steps, before anything is undone: a device gives up memory only when the
// others know that they need not wait for this rank, and it not for them.
void TrainingRun::announce(const std::exception& error) {
  if (dynamic_cast<const AgreedError*>(&error) || dynamic_cast<const AnnouncedError*>(&error))
    return;
  if (!communicator_.announce_failure()) throw PeerFailed();
  throw AnnouncedError(fmt::format("after step {}: {}", steps_done(), error.what()));
}

// The warm-up has asked what there is to ask; what it has missed may not differ unseen.
void TrainingRun::agree_on_plans() {
  if (!library_plans_->agree()) return;
  identity_.plans = library_plans_->plans();
  if (main_rank()) record_plans();
}

void TrainingRun::record_plans() {
  if (!session_->device().gpu) return;
  library_plans_->write(folder_->plans_file());
  recorder_->plans(library_plans_->digest());
}

bool TrainingRun::phase_over() const {
  const std::int64_t patience = session_->config().training.early_stopping.patience;
  return trainer_->next_step() >= trainer_->end_step() ||
         (patience > 0 && declared_.evaluations_without_gain >= patience);
}

std::int64_t TrainingRun::total_steps() const {
  std::int64_t steps = trainer_->end_step();
  for (std::size_t later = phase() + 1; later < phases_->size(); ++later)
    steps += (*phases_)[later].phase.length(plan_.steps_per_epoch());
  return steps;
}

// As if the run ended here and another one went on from its checkpoint.
void TrainingRun::begin_phase() {
  const std::int64_t step = trainer_->next_step();
  Checkpoint kept;
  {
    const Snapshot snapshot = trainer_->snapshot();
    if (main_rank()) {
      writer_->wait();
      kept.tensors = checkpoint_tensors(snapshot, session_->team().params(),
                                        trainer_->state_names(), session_->backend());
    }
  }
  communicator_.barrier();
  writer_.reset();
  parameter_log_.reset();
  trainer_.reset();
  phase_starts_.push_back(step);
  declared_.evaluations_without_gain = 0;
  session_->rebuild((*phases_)[phase()].frozen);
  set_up_phase();
  trainer_->restore(step, [&](float* values, std::vector<float*> states) {
    const ParamSet& params = session_->team().params();
    const std::vector<std::string> names = trainer_->state_names();
    kept.tensors = for_next_phase(std::move(kept.tensors), params, names);
    load_tensors(kept, "the last phase's state", params, names, session_->backend(), values,
                 states);
  });
  warm_up();
  if (main_rank()) {
    record_plans();
    open_writer();
  }
  say(phases_->describe(phase()));
  epoch_start_ = Clock::now();
}

StepResult TrainingRun::step() {
  if (stop_signal) trainer_->request_stop();
  if (writer_) writer_->check();
  const std::int64_t begun = trainer_->next_step() + 1;
  trainer_->keep_gradients(histograms_due(begun) ||
                           (!parameter_log_->empty() && epoch_ends(begun)));
  StepResult result;
  try {
    result = trainer_->step();
  } catch (const AnnouncedError& error) {
    throw AnnouncedError(fmt::format("step {}: {}", trainer_->next_step() + 1, error.what()));
  }
  add(declared_.epoch_sums, result.total);
  epoch_rows_here_ += result.total.rows;
  log_step(result);
  if (!main_rank()) return result;

  const std::int64_t step = result.step + 1, epoch_steps = plan_.steps_per_epoch();
  const std::int64_t epoch = result.step / epoch_steps + 1;
  const StepReport report{step,      total_steps(),
                          epoch,     (total_steps() + epoch_steps - 1) / epoch_steps,
                          result.lr, summarize(result.total, session_->team().replica().loss())};
  const bool clips = session_->config().training.clip_norm > 0;
  log_->step(report, clips ? std::optional(result.gradient_norm) : std::nullopt);
  request_.observer->step(report);
  return result;
}

// So many lines as log.every_steps asks for, or one a second.
void TrainingRun::log_step(const StepResult& result) {
  const std::int64_t step = result.step + 1, every = session_->config().log.every_steps;
  const Clock::time_point now = Clock::now();
  if (every > 0 ? step % every != 0 : now < next_log_line_) return;
  next_log_line_ = now + std::chrono::seconds(1);
  note(fmt::format("step {}/{} loss {:.6g} lr {:.6g}", step, total_steps(),
                   result.total.loss / result.total.weight, result.lr));
}

bool TrainingRun::histograms_due(std::int64_t step) const {
  const LogConfig& rule = session_->config().log;
  if (!rule.tensorboard || rule.histogram_epochs == 0) return false;
  const std::int64_t epoch_steps = plan_.steps_per_epoch();
  return step % (rule.histogram_epochs * epoch_steps) == 0 || step == trainer_->end_step();
}

bool TrainingRun::epoch_ends(std::int64_t step) const {
  return step % plan_.steps_per_epoch() == 0 || step == trainer_->end_step();
}

void TrainingRun::finish_epoch(std::int64_t epoch, double lr) {
  const Config& config = session_->config();
  const std::int64_t step = trainer_->next_step();
  const double seconds = seconds_since(epoch_start_);
  EpochReport report;
  report.epoch = epoch;
  report.epochs = (total_steps() + plan_.steps_per_epoch() - 1) / plan_.steps_per_epoch();
  report.step = step;
  if (!config.training.phases.empty()) report.phase = static_cast<std::int64_t>(phase()) + 1;
  report.training = summarize(declared_.epoch_sums, session_->team().replica().loss());
  report.seconds = seconds;
  report.samples_per_second = epoch_rows_here_ / seconds;
  declared_.epoch_sums = {};
  outcome_.training = report.training;

  const bool last = step == trainer_->end_step();
  if (session_->validation() && (epoch % config.training.evaluate_every == 0 || last)) {
    trainer_->take_averages();
    report.validation = evaluate(session_->team(), *session_->validation(),
                                 {config.training.batch, trainer_->weights_version()});
    trainer_->take_weights();
    outcome_.validation = report.validation;
    new_best_ = judge(*report.validation);
  }
  report.parameters = parameter_log_->read();
  if (histograms_due(step)) {
    const ParamSet& params = session_->team().params();
    const std::vector<float> gradient = trainer_->gradient({0, params.trainable_end()});
    if (main_rank()) log_->histograms(step, params, gradient);
  }
  if (main_rank()) {
    log_->epoch(report, lr);
    request_.observer->epoch(report);
  }
  note(fmt::format("epoch {}/{} step {} loss {:.6g}, {:.1f} s", epoch, report.epochs, step,
                   report.training.loss, seconds));
  epoch_start_ = Clock::now();
  epoch_rows_here_ = 0;
}

bool TrainingRun::judge(const Evaluation& validation) {
  const auto [metric, maximise] = best_rule(session_->config());
  const double value = validation.metric(metric);
  const std::optional<double>& best = declared_.best_metric;
  if (!best || (maximise ? value > *best : value < *best)) {
    declared_.best_metric = value;
    declared_.best_step = trainer_->next_step();
    declared_.evaluations_without_gain = 0;
    return true;
  }
  const std::int64_t patience = session_->config().training.early_stopping.patience;
  if (++declared_.evaluations_without_gain == patience)
    say(
        fmt::format("early stopping: validation {} has not improved on {:.6g} (step {}) for {} "
                    "evaluations",
                    metric, *best, declared_.best_step, patience));
  return false;
}

void TrainingRun::save(bool wait) {
  Snapshot snapshot = trainer_->snapshot();
  // Before the barrier: whatever fails after it, this step is saved.
  if (main_rank())
    writer_->write(std::move(snapshot), {trainer_->next_step(), identity_, declared_});
  communicator_.barrier();
  if (main_rank() && wait) writer_->wait();
  note(fmt::format("checkpoint of step {}", trainer_->next_step()));
}

void TrainingRun::write_weights() {
  const EarlyStoppingConfig& rule = session_->config().training.early_stopping;
  const bool take_best = rule.patience > 0 && rule.restore_best && declared_.best_step > 0 &&
                         declared_.best_step != trainer_->next_step();
  const Snapshot snapshot = trainer_->snapshot();
  if (!main_rank()) return;
  writer_->wait();
  std::vector<NamedTensor> tensors;
  if (take_best) {
    tensors = read_checkpoint(folder_->checkpoints() + "/" + checkpoint_name(declared_.best_step))
                  .tensors;
    say(fmt::format("weights of step {}, the best, are taken", declared_.best_step));
  } else {
    tensors = checkpoint_tensors(snapshot, session_->team().params(), trainer_->state_names(),
                                 session_->backend());
  }
  write_safetensors(folder_->weights_file(), trained_weights(tensors), {{"format", "pt"}});
}

TrainingOutcome run_training(Config config, const TrainingRequest& request,
                             Communicator& communicator) {
  TrainingRun run(config, request, communicator);
  return run.run();
}

void install_stop_signals() {
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) {
    struct sigaction action {};
    action.sa_handler = [](int) { stop_signal = 1; };
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    sigaction(signal, &action, nullptr);
  }
}

}  // namespace lockstep
