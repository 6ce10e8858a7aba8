// A training run up to its first step: checkpoint, session, agreement of the ranks, weights,
// folder.
#include <algorithm>

#include "io/base/file.h"
#include "io/dataset/description.h"
#include "runtime/communication/agreement.h"
#include "runtime/run/training_run.h"
#include "runtime/run/version.h"

namespace lockstep {

TrainingRun::TrainingRun(const Config& config, const TrainingRequest& request,
                         Communicator& communicator)
    : request_(request), communicator_(communicator), given_(config) {
  if (config.training.early_stopping.patience > 0 && config.data.validation.empty())
    throw AgreedError("training.early_stopping needs data.validation: the split that it watches");
  if (!request.resume.empty()) find_checkpoint();

  session_ = std::make_unique<Session>(given_, Purpose::kTrain, given_.data.train, communicator,
                                       request.networks, nullptr,
                                       [this](const DeviceChoice& device) { take_plans(device); });
  const Config& resolved = session_->config();
  plan_ = {session_->data().data->rows() * resolved.data.copies, resolved.training.batch,
           resolved.run.shards, resolved.training.drop_last};
  if (plan_.steps_per_epoch() == 0)
    throw AgreedError(
        fmt::format("training.drop_last leaves nothing: {} rows are less than a batch of {}",
                    plan_.rows, plan_.batch));
  const std::string placement = communicator.description();
  if (resumed_) declared_ = resumed_->declared;
  if (!declared_.phase_starts.empty()) phase_starts_ = declared_.phase_starts;
  together(communicator, [&] {
    phases_.emplace(resolved, session_->team().params(), request.head);
    if (phases_->size() < phase_starts_.size())
      throw Error("{}: {} phases had begun, but the config has {}", checkpoint_file_,
                  phase_starts_.size(), phases_->size());
  });
  if (!(*phases_)[phase()].frozen.empty()) session_->rebuild((*phases_)[phase()].frozen);
  set_up_phase();
  agree();
  if (resumed_) check_resumed();
  start_weights();
  warm_up();
  open_folder();
  for (const std::string& line : session_->log()) say(line);
  if (!resolved.training.phases.empty()) say(phases_->describe(phase()));
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

bool TrainingRun::may_change(const std::string& key) const {
  return std::ranges::find(request_.allow_change, key) != request_.allow_change.end();
}

void TrainingRun::take_plans(const DeviceChoice& device) {
  library_plans_.emplace(device, communicator_);
  if (!resumed_ || !device.gpu) return;
  const RunIdentity& before = resumed_->identity;
  if (may_change("gpu") || before.gpu != device.gpu_libraries || before.plans.empty())
    say("plans of the GPU's libraries are made anew");
  else
    library_plans_->take(before.plans);
}

// The trainer has asked the GPU what its steps will: here, what evaluations of the phase will.
void TrainingRun::warm_up() {
  if (!session_->device().gpu) return;
  session_->team().run([this](Worker& worker) {
    warm_up_evaluation(worker.replica(), session_->warm_up(), trainer_->weights_version());
  });
  const MemoryReport memory = session_->device().library->memory(session_->backend());
  if (memory.beyond_reserve > 0)
    note(fmt::format("memory: {} of the GPU's beside what was reserved",
                     bytes_text(memory.beyond_reserve)));
  library_plans_->agree();
  identity_.plans = library_plans_->plans();
}

void TrainingRun::set_up_phase() {
  const Config& config = session_->config();
  if (!config.training.phases.empty()) declared_.phase_starts = phase_starts_;
  trainer_ = std::make_unique<Trainer>(config, session_->team(), session_->data(), plan_,
                                       phases_->span(phase_starts_, plan_.steps_per_epoch()),
                                       session_->augmentation());
  together(communicator_,
           [&] { parameter_log_.emplace(config.log.parameters, session_->team(), *trainer_); });
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
                               {"the GPU and its libraries", session_->device().gpu_libraries},
                               {"arithmetic (the probe)", session_->probe()}});
  std::string checksum;
  together(communicator_, [&] {
    if (communicator_.local_rank() == 0) checksum = data.checksum();
  });
  const std::string of_rank_0 = communicator_.broadcast(checksum, 0);
  require_same(communicator_, {{"the data's contents", checksum.empty() ? of_rank_0 : checksum}});
  identity_ = {mathematical_toml(session_->config()), of_rank_0, session_->probe(),
               session_->device().gpu_libraries};
}

void TrainingRun::check_resumed() const {
  std::string changed;
  const auto compare = [&](const std::string& key, const std::string& before,
                           const std::string& after) {
    if (before == after || may_change(key)) return;
    changed += fmt::format("\n  {}: {} then, {} now (--allow-change {})", key, before, after, key);
  };
  const Config before = parse_config(resumed_->identity.config, checkpoint_file_);
  for (const ConfigDifference& difference : differing_mathematical_keys(before, session_->config()))
    compare(difference.key, difference.before, difference.after);
  compare("data", resumed_->identity.data_checksum, identity_.data_checksum);
  compare("gpu", resumed_->identity.gpu.empty() ? "none" : resumed_->identity.gpu,
          identity_.gpu.empty() ? "none" : identity_.gpu);
  if (session_->device().gpu && !may_change("gpu")) {
    const std::string plans = changed_plans(resumed_->identity.plans,
                                            session_->device().library->plans(session_->backend()));
    if (!plans.empty()) changed += fmt::format("\n  {} (--allow-change gpu)", plans);
  }
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
  std::vector<std::string> notes;
  trainer_->restore(first_step, [&](float* values, std::vector<float*> states) {
    if (resumed_) {
      load_tensors(read_checkpoint(checkpoint_file_), checkpoint_file_, team.params(),
                   trainer_->state_names(), session_->backend(), values, states);
    } else {
      team.params().initialize(session_->backend(), session_->config().run.seed);
      notes = request_.initial_weights(session_->config(), team.params(), session_->backend());
      if (session_->config().training.ema > 0)
        std::copy_n(values, team.params().trained_elements(), states.back());
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
    log_->begin(config, *session_->data().data, session_->augmentation().get(),
                session_->team().replica().loss().metric_names());
    open_writer();
    recorder_.emplace(*folder_, *session_, identity_.data_checksum, trainer_->next_step());
    record_plans();
  });
  folder_path_ = communicator_.broadcast(main_rank() ? folder_->path() : std::string(), 0);
  if (resumed_)
    say(fmt::format("resumed {} after step {}", checkpoint_file_, trainer_->next_step()));
}

void TrainingRun::open_writer() {
  writer_ = std::make_unique<CheckpointWriter>(
      folder_->checkpoints(), session_->config().checkpoint.keep, session_->team().params(),
      trainer_->state_names(), session_->backend());
}

}  // namespace lockstep
