#include "launch/trained.h"

#include <algorithm>
#include <filesystem>

#include "models/initial_values.h"
#include "models/weights.h"
#include "runtime/run/checkpointing.h"

namespace lockstep {

namespace {

// [model.initial] of a config without a weights file: it must name every parameter.
void set_all_values(const Config& config, Backend& backend, ParamSet& params) {
  for (const Param& param : params.all()) {
    if (param.spec.kind == ParamKind::kTrainable && !config.model.initial.contains(param.name))
      throw Error(
          "[model.initial] has no values for '{}': without model.weights it must name every "
          "parameter of the network",
          param.name);
  }
  params.initialize(backend, config.run.seed);  // running statistics
  set_initial_values(backend, params, config.model.initial);
}

// The newest checkpoint knows which one is the best: also of a run that goes on, or was stopped.
std::string best_checkpoint(const std::string& run) {
  const std::string folder = run + "/checkpoints";
  const auto newest = latest_checkpoint(folder);
  if (!newest) throw Error("{}: --best: the run has no checkpoint", run);
  const std::int64_t step =
      state_from_json(newest->contents.state, newest->path).declared.best_step;
  if (step == 0)
    throw Error(
        "{}: --best: the run has evaluated nothing that a step could be the best of; train with "
        "data.validation",
        run);
  const std::string path = folder + "/" + checkpoint_name(step);
  if (!std::filesystem::exists(path))
    throw Error("{}: --best: {} is the best, by {}, and is not there", run, path, newest->path);
  return path;
}

}  // namespace

void add_best_flag(CLI::App& command, ModelArguments& arguments) {
  command.add_flag("--best", arguments.best,
                   "of a run: its best checkpoint (checkpoint.best), not its last weights");
}

Config load_trained_config(const ModelArguments& arguments) {
  namespace fs = std::filesystem;
  if (!fs::is_directory(arguments.run_or_config)) {
    if (arguments.best && fs::exists(arguments.run_or_config))
      throw Error("{}: --best is of a run folder, which has checkpoints; this is none",
                  arguments.run_or_config);
    const Config config = load_config(arguments.run_or_config, arguments.overrides);
    if (config.model.weights.empty() && config.model.initial.empty())
      throw Error(
          "{}: a config alone has no trained weights: give model.weights=FILE.safetensors or all "
          "of [model.initial], or a run folder instead",
          arguments.run_or_config);
    return config;
  }
  const std::string run = arguments.run_or_config;
  Config config = load_config(run + "/config.toml", arguments.overrides);
  const bool overridden =
      std::any_of(arguments.overrides.begin(), arguments.overrides.end(),
                  [](const std::string& text) { return text.starts_with("model.weights="); });
  if (overridden && arguments.best)
    throw Error("--best and model.weights both say which weights: give one of them");
  if (overridden) return config;
  if (arguments.best) {
    config.model.weights = best_checkpoint(run);
    return config;
  }
  const std::string weights = run + "/weights.safetensors";
  if (fs::exists(weights)) {
    config.model.weights = weights;
  } else if (const auto checkpoint = latest_checkpoint(run + "/checkpoints")) {
    config.model.weights = checkpoint->path;
  } else {
    throw Error("{}: neither weights.safetensors nor a checkpoint: nothing has been trained yet",
                run);
  }
  return config;
}

TrainedModel::TrainedModel(const Config& config, Purpose purpose, const std::string& split,
                           Communicator& communicator, const NetworkFactory& networks,
                           std::shared_ptr<const Dataset> samples)
    : session_(std::make_unique<Session>(config, purpose, split, communicator, networks,
                                         std::move(samples))) {
  Team& team = session_->team();
  std::vector<std::string> notes;
  values_.emplace(team, [&](float* flat) {
    const std::string& file = config.model.weights;
    if (file.empty())
      set_all_values(config, session_->backend(), team.params());
    else if (file.ends_with(".ckpt"))
      load_weights(read_checkpoint(file), file, team.params(), session_->backend(), flat);
    else
      notes = read_weights(file, session_->backend(), team.params());
  });
  if (communicator.rank() == 0)
    for (const std::string& note : notes)
      fmt::print(stderr, "{}: {}\n", config.model.weights, note);
}

}  // namespace lockstep
