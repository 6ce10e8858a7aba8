#include "runtime/run/training.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <numeric>

#include "io/base/file.h"
#include "io/dataset/description.h"
#include "runtime/communication/agreement.h"
#include "runtime/run/run_folder.h"
#include "runtime/run/run_log.h"
#include "runtime/run/run_recorder.h"
#include "runtime/run/version.h"

namespace lockstep {

namespace {

using Clock = std::chrono::steady_clock;

volatile std::sig_atomic_t stop_signal = 0;  // the only thing a signal handler may touch

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void add(ShardScalars& sums, const ShardScalars& step) {
  sums.loss += step.loss;
  sums.weight += step.weight;
  sums.rows += step.rows;
  for (std::size_t i = 0; i < sums.metrics.size(); ++i) sums.metrics[i] += step.metrics[i];
}

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
  void find_checkpoint();
  void agree();
  void check_resumed() const;
  void start_weights();
  void open_folder();
  void end_record(const std::string& outcome);
  void end_failed_record(const std::string& outcome);

  StepResult step();
  void finish_epoch(std::int64_t epoch, double lr);
  void log_step(const StepResult& result);
  // After the step that is counted from 1.
  bool histograms_due(std::int64_t step) const;
  bool epoch_ends(std::int64_t step) const;
  bool judge(const Evaluation& validation);  // whether it is the best so far
  void save(bool wait);
  void restore_best();
  void write_weights();

  const TrainingRequest& request_;
  Communicator& communicator_;
  Config given_;

  // On resume: what rank 0 found. The tensors are on rank 0 until the weights are loaded.
  std::optional<TrainingState> resumed_;
  std::string checkpoint_file_;

  std::unique_ptr<Session> session_;
  std::optional<NodeDataset> validation_;
  BatchPlan plan_;
  std::unique_ptr<Trainer> trainer_;
  std::optional<ParameterLog> parameter_log_;
  RunIdentity identity_;
  DeclaredState declared_;
  std::optional<RunFolder> folder_;  // rank 0
  std::string folder_path_;
  std::optional<RunLog> log_;
  std::unique_ptr<CheckpointWriter> writer_;
  std::optional<RunRecorder> recorder_;
  TrainingOutcome outcome_;
  bool early_stop_ = false, new_best_ = false;
  Clock::time_point epoch_start_, next_log_line_;
  double epoch_rows_here_ = 0;  // trained by this process, for the rate
};

TrainingRun::TrainingRun(const Config& config, const TrainingRequest& request,
                         Communicator& communicator)
    : request_(request), communicator_(communicator), given_(config) {
  if (config.training.early_stopping.patience > 0 && config.data.validation.empty())
    throw AgreedError("training.early_stopping needs data.validation: the split that it watches");
  if (!request.resume.empty()) find_checkpoint();

  session_ = std::make_unique<Session>(given_, Purpose::kTrain, given_.data.train, communicator,
                                       request.networks);
  if (!given_.data.validation.empty()) validation_ = session_->open(given_.data.validation);
  const Config& resolved = session_->config();
  plan_ = {session_->data().data->rows(), resolved.training.batch, resolved.run.shards,
           resolved.training.drop_last};
  if (plan_.steps_per_epoch() == 0)
    throw AgreedError(
        fmt::format("training.drop_last leaves nothing: {} rows are less than a batch of {}",
                    plan_.rows, plan_.batch));
  const std::string placement = communicator.description();
  trainer_ = std::make_unique<Trainer>(resolved, session_->team(), session_->data(), plan_);
  together(communicator,
           [&] { parameter_log_.emplace(resolved.log.parameters, session_->team(), *trainer_); });
  agree();
  if (resumed_) check_resumed();
  start_weights();
  open_folder();
  for (const std::string& line : session_->log()) say(line);
  next_log_line_ = Clock::now();
  // A segment too large for the machine shows when the exchange is made, after the first line.
  if (communicator.description() != placement) say("exchange: " + communicator.description());
}

void TrainingRun::find_checkpoint() {
  std::string state;
  together(communicator_, [&] {
    if (!main_rank()) return;
    RunFolder::open(request_.resume);
    const std::string folder = request_.resume + "/checkpoints";
    const std::optional<FoundCheckpoint> found = latest_checkpoint(folder);
    if (!found) return;
    for (const std::string& line : found->refused)
      say("warning: damaged checkpoint passed over: " + line);
    checkpoint_file_ = found->path;
    state = found->contents.state;
  });
  checkpoint_file_ = communicator_.broadcast(checkpoint_file_, 0);
  if (checkpoint_file_.empty()) {  // the run was stopped before its first one
    say(request_.resume + ": no checkpoint was written yet; training starts from its first step");
    return;
  }
  state = communicator_.broadcast(state, 0);
  resumed_ = state_from_json(state, checkpoint_file_);
  const Config stored = parse_config(resumed_->identity.config, checkpoint_file_);
  if (given_.run.shards == 0) given_.run.shards = stored.run.shards;
}

void TrainingRun::agree() {
  const Dataset& data = *session_->data().data;
  // A file that lockstep wrote carries its checksum; of another, each node's first rank computes
  // it.
  const std::string quick =
      fmt::format("{} rows of {} {}, {}", data.rows(), data.sample_shape().to_string(),
                  name_of(data.x_type()), data.info().checksum);
  require_same(communicator_, {{"the program", kVersion},
                               {"the config", mathematical_toml(session_->config())},
                               {"log.parameters", parameter_log_->names()},
                               {"the data", quick},
                               {"arithmetic (the probe)", session_->probe()}});
  std::string checksum;
  together(communicator_, [&] {
    if (communicator_.local_rank() == 0) checksum = data.checksum();
  });
  const std::string of_rank_0 = communicator_.broadcast(checksum, 0);
  require_same(communicator_, {{"the data's contents", checksum.empty() ? of_rank_0 : checksum}});
  identity_ = {mathematical_toml(session_->config()), of_rank_0, session_->probe()};
}

void TrainingRun::check_resumed() const {
  const auto allowed = [&](const std::string& key) {
    return std::find(request_.allow_change.begin(), request_.allow_change.end(), key) !=
           request_.allow_change.end();
  };
  std::string changed;
  const auto compare = [&](const std::string& key, const std::string& before,
                           const std::string& after) {
    if (before == after || allowed(key)) return;
    changed += fmt::format("\n  {}: {} then, {} now (--allow-change {})", key, before, after, key);
  };
  const Config before = parse_config(resumed_->identity.config, checkpoint_file_);
  for (const ConfigDifference& difference : differing_mathematical_keys(before, session_->config()))
    compare(difference.key, difference.before, difference.after);
  compare("data", resumed_->identity.data_checksum, identity_.data_checksum);
  compare("probe", resumed_->identity.probe, identity_.probe);
  if (!changed.empty())
    throw AgreedError(fmt::format(
        "{}: the run would not go on as it was, since these changed:{}\nGo back, or allow each "
        "change by name",
        checkpoint_file_, changed));
}

void TrainingRun::start_weights() {
  Team& team = session_->team();
  const std::int64_t first_step = resumed_ ? resumed_->step : 0;
  if (resumed_) declared_ = resumed_->declared;
  std::vector<std::string> notes;
  trainer_->restore(first_step, [&](float* values, std::vector<float*> states) {
    if (resumed_) {
      load_tensors(read_checkpoint(checkpoint_file_), checkpoint_file_, team.params(),
                   trainer_->optimizer().states(), session_->backend(), values, states);
    } else {
      team.params().initialize(session_->backend(), session_->config().run.seed);
      notes = request_.initial_weights(session_->config(), team.params(), session_->backend());
    }
  });
  for (const std::string& note : notes) say(note);
}

void TrainingRun::open_folder() {
  together(communicator_, [&] {
    if (!main_rank()) return;
    const Config& config = session_->config();
    folder_ = request_.resume.empty() ? RunFolder::create(request_.out, config.run.name)
                                      : RunFolder::open(request_.resume);
    folder_->write_config(config);
    write_text(folder_->data_file(), to_json(describe(*session_->data().data)));
    log_.emplace(*folder_, config, trainer_->next_step());
    log_->begin(config, *session_->data().data, session_->team().replica().loss().metric_names());
    writer_ = std::make_unique<CheckpointWriter>(
        folder_->checkpoints(), config.checkpoint.keep, session_->team().params(),
        trainer_->optimizer().states(), session_->backend());
    recorder_.emplace(*folder_, *session_, identity_.data_checksum, trainer_->next_step());
  });
  folder_path_ = communicator_.broadcast(main_rank() ? folder_->path() : std::string(), 0);
  if (resumed_)
    say(fmt::format("resumed {} after step {}", checkpoint_file_, trainer_->next_step()));
}

void TrainingRun::end_record(const std::string& outcome) {
  note("this start of the run: " + outcome);
  if (recorder_)
    recorder_->end(outcome, trainer_->next_step(), outcome_.training, outcome_.validation);
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
  try {
    while (trainer_->next_step() < trainer_->total_steps() && !early_stop_) {
      const StepResult result = step();
      const std::int64_t done = trainer_->next_step();
      const bool last = done == trainer_->total_steps();
      const bool ends_epoch = epoch_ends(done);
      const std::int64_t epoch = (done + epoch_steps - 1) / epoch_steps;
      new_best_ = false;
      if (ends_epoch) finish_epoch(epoch, result.lr);

      outcome_.interrupted = result.total.stop > 0 && !last;
      const CheckpointConfig& rule = config.checkpoint;
      const bool due = (rule.every_steps > 0 && done % rule.every_steps == 0) ||
                       (ends_epoch && rule.every_epochs > 0 && epoch % rule.every_epochs == 0) ||
                       (new_best_ && config.training.early_stopping.patience > 0) || last ||
                       early_stop_ || outcome_.interrupted;
      if (due) save(last || early_stop_ || outcome_.interrupted);
      if (outcome_.interrupted) break;
    }
    outcome_.step = trainer_->next_step();
    outcome_.best_metric = config.training.early_stopping.metric;
    outcome_.best_value = declared_.best_metric;
    outcome_.best_step = declared_.best_step;
    if (!outcome_.interrupted) {
      if (config.training.early_stopping.patience > 0 &&
          config.training.early_stopping.restore_best)
        restore_best();
      write_weights();
    }
    end_record(outcome_.interrupted ? "interrupted" : "finished");
    if (log_ && !outcome_.interrupted) log_->finished();
  } catch (const PeerFailed&) {
    end_failed_record("failed: another rank");
    throw;
  } catch (const std::exception& error) {
    end_failed_record(fmt::format("failed: {}", error.what()));
    throw;
  }
  return outcome_;
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
  const StepReport report{step,      trainer_->total_steps(),
                          epoch,     (trainer_->total_steps() + epoch_steps - 1) / epoch_steps,
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
  note(fmt::format("step {}/{} loss {:.6g} lr {:.6g}", step, trainer_->total_steps(),
                   result.total.loss / result.total.weight, result.lr));
}

bool TrainingRun::histograms_due(std::int64_t step) const {
  const LogConfig& rule = session_->config().log;
  if (!rule.tensorboard || rule.histogram_epochs == 0) return false;
  const std::int64_t epoch_steps = plan_.steps_per_epoch();
  return step % (rule.histogram_epochs * epoch_steps) == 0 || step == trainer_->total_steps();
}

bool TrainingRun::epoch_ends(std::int64_t step) const {
  return step % plan_.steps_per_epoch() == 0 || step == trainer_->total_steps();
}

void TrainingRun::finish_epoch(std::int64_t epoch, double lr) {
  const Config& config = session_->config();
  const std::int64_t step = trainer_->next_step();
  const double seconds = seconds_since(epoch_start_);
  EpochReport report;
  report.epoch = epoch;
  report.epochs = (trainer_->total_steps() + plan_.steps_per_epoch() - 1) / plan_.steps_per_epoch();
  report.step = step;
  report.training = summarize(declared_.epoch_sums, session_->team().replica().loss());
  report.seconds = seconds;
  report.samples_per_second = epoch_rows_here_ / seconds;
  declared_.epoch_sums = {};
  outcome_.training = report.training;

  const bool last = step == trainer_->total_steps();
  if (validation_ && (epoch % config.training.evaluate_every == 0 || last)) {
    report.validation = evaluate(session_->team(), *validation_,
                                 {config.training.batch, trainer_->weights_version()});
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
  const EarlyStoppingConfig& rule = session_->config().training.early_stopping;
  const double value = validation.metric(rule.metric);
  const bool better = !declared_.best_metric || (rule.maximise() ? value > *declared_.best_metric
                                                                 : value < *declared_.best_metric);
  if (better) {
    declared_.best_metric = value;
    declared_.best_step = trainer_->next_step();
    declared_.evaluations_without_gain = 0;
    return true;
  }
  ++declared_.evaluations_without_gain;
  if (rule.patience > 0 && declared_.evaluations_without_gain >= rule.patience) {
    early_stop_ = true;
    say(
        fmt::format("early stopping: validation {} has not improved on {:.6g} (step {}) for {} "
                    "evaluations",
                    rule.metric, *declared_.best_metric, declared_.best_step, rule.patience));
  }
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

void TrainingRun::restore_best() {
  if (declared_.best_step == 0 || declared_.best_step == trainer_->next_step()) return;
  if (main_rank()) writer_->wait();
  communicator_.barrier();
  const std::string file = folder_path_ + "/checkpoints/" + checkpoint_name(declared_.best_step);
  trainer_->restore(trainer_->next_step(), [&](float* values, std::vector<float*> states) {
    load_tensors(read_checkpoint(file), file, session_->team().params(),
                 trainer_->optimizer().states(), session_->backend(), values, states);
  });
  say(fmt::format("weights of step {}, the best, are taken", declared_.best_step));
}

void TrainingRun::write_weights() {
  const Snapshot snapshot = trainer_->snapshot();
  if (!main_rank()) return;
  writer_->wait();
  write_safetensors(
      folder_->weights_file(),
      named_weights(session_->team().params(), session_->backend(), snapshot.values.data()),
      {{"format", "pt"}});
}

}  // namespace

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
