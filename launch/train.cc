// lockstep train CONFIG.toml [key=value ...] [--out RUN] [--resume RUN] [--allow-change KEY]
#include "launch/commands.h"
#include "launch/console.h"
#include "launch/job.h"
#include "launch/networks.h"
#include "models/head.h"
#include "runtime/communication/agreement.h"
#include "runtime/config/augment_kinds.h"
#include "runtime/run/training.h"

namespace lockstep {

namespace {

struct TrainArguments {
  std::string config, out, resume, log;
  std::vector<std::string> overrides, allow_change;
};

// The config file, or that of the resumed run, with the overrides.
Config configure(const TrainArguments& arguments) {
  if (!arguments.out.empty() && !arguments.resume.empty())
    throw Error("--out and --resume exclude each other: a resumed run goes on in its own folder");
  const bool first_is_override = arguments.config.find('=') != std::string::npos;
  std::vector<std::string> overrides = arguments.overrides;
  std::string file = arguments.config;
  if (file.empty() || (first_is_override && !arguments.resume.empty())) {
    if (arguments.resume.empty())
      throw Error("train needs a config file: lockstep train CONFIG.toml");
    if (first_is_override) overrides.insert(overrides.begin(), file);
    file = arguments.resume + "/config.toml";
  }
  const Config config = load_config(file, overrides);
  require_for_training(config);
  return config;
}

int train(const TrainArguments& arguments, const Networks& networks) {
  install_stop_signals();
  const auto command = [&](const Config& config, Communicator& communicator, RankLog& log) {
    Console console(config.training);
    TrainingRequest request;
    request.out = arguments.out;
    request.resume = arguments.resume;
    request.allow_change = arguments.allow_change;
    request.networks = networks.make;
    request.head = head_scope;
    request.initial_weights = set_initial_weights;
    request.observer = &console;
    request.log = &log;
    const TrainingOutcome outcome = run_training(config, request, communicator);
    if (communicator.rank() == 0) console.finished(outcome);
    return outcome.interrupted ? kExitInterrupted : 0;
  };
  return run_job([&] { return configure(arguments); }, command, arguments.log);
}

}  // namespace

void add_train(CLI::App& app, Action& action, const Networks& networks) {
  auto arguments = std::make_shared<TrainArguments>();
  CLI::App* command = app.add_subcommand("train", "train a network from a config file");
  command->add_option("config", arguments->config,
                      "TOML file; with --resume, the run's own if left out");
  command->add_option("overrides", arguments->overrides, "key=value, checked as the file is");
  command->add_option("--out", arguments->out,
                      "run folder to create (default runs/<name>-<date>-<time>)");
  command->add_option("--resume", arguments->resume,
                      "run folder to continue at its newest checkpoint");
  command->add_option("--log", arguments->log,
                      "log of every rank: FILE.log is FILE.rank3.log, or %r in the name the rank");
  command
      ->add_option("--allow-change", arguments->allow_change,
                   "a mathematical key that may differ from the resumed run's; repeatable")
      ->allow_extra_args(false)
      ->option_text("KEY");
  command->footer(
      "Examples:\n"
      "  lockstep train launch/configs/digits.toml\n"
      "  mpirun -np 2 lockstep train launch/configs/fashion-mnist.toml optimizer.lr=0.002 --out "
      "runs/a\n"
      "  mpirun -np 4 lockstep train --resume runs/a\n" +
      std::string(
          "\nKeys of a config (operational: changes no result; a resume compares all others):\n") +
      config_help() + "\nKinds in [[data.augment]]:\n" + augment_kinds_help() +
      "\nNetworks and their keys:\n" + networks.help);
  command->callback([arguments, &networks, &action] {
    action = [arguments, &networks] { return train(*arguments, networks); };
  });
}

}  // namespace lockstep
