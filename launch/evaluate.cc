// lockstep evaluate RUN [--split test]: loss, metrics and the confusions of a trained network.
#include <filesystem>
#include <nlohmann/json.hpp>

#include "launch/commands.h"
#include "launch/console.h"
#include "launch/job.h"
#include "launch/trained.h"
#include "runtime/run/evaluation.h"

namespace lockstep {

namespace {

struct EvaluateArguments {
  ModelArguments model;
  std::string split, json;
};

void print_confusion(const Evaluation& evaluation, const std::vector<std::string>& names) {
  std::size_t classes = 0;
  while (classes * classes < evaluation.confusion.size()) ++classes;
  if (classes == 0 || classes > 32) return;
  std::size_t width = 5;
  for (const std::string& name : names) width = std::max(width, name.size());
  fmt::print("\nconfusion (rows: true class, columns: predicted)\n");
  for (std::size_t row = 0; row < classes; ++row) {
    fmt::print("  {:>{}} ", row < names.size() ? names[row] : std::to_string(row), width);
    for (std::size_t column = 0; column < classes; ++column)
      fmt::print(" {:>5}", evaluation.confusion[row * classes + column]);
    fmt::print("\n");
  }
}

int evaluate_run(const EvaluateArguments& arguments) {
  const auto command = [&](const Config& config, Communicator& communicator) {
    const std::string split = arguments.split.empty() ? config.data.test : arguments.split;
    TrainedModel model(config, Purpose::kEvaluate, split, communicator);
    Session& session = model.session();
    const Dataset& data = *session.data().data;
    EvaluationOptions options;
    options.batch = config.training.batch;
    options.confusion = data.target() == TargetKind::kClass;
    const Evaluation result = evaluate(session.team(), session.data(), options);
    if (communicator.rank() != 0) return 0;

    for (const std::string& line : session.log()) fmt::print("{}\n", line);
    fmt::print("weights: {}\n{} {}: {} rows  {}\n", config.model.weights, config.data.file, split,
               result.rows, describe(result));
    print_confusion(result, data.info().classes);
    if (!arguments.json.empty()) {
      nlohmann::ordered_json json{{"split", split}, {"rows", result.rows}, {"loss", result.loss}};
      for (const auto& [name, value] : result.metrics) json[name] = value;
      if (!result.confusion.empty()) json["confusion"] = result.confusion;
      write_text(arguments.json, json.dump(1) + "\n");
    }
    return 0;
  };
  return run_job([&] { return load_trained_config(arguments.model); }, command);
}

}  // namespace

void add_evaluate(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<EvaluateArguments>();
  CLI::App* command = app.add_subcommand("evaluate", "measure a trained network on a split");
  command
      ->add_option("run", arguments->model.run_or_config,
                   "run folder, or config with model.weights")
      ->required();
  command->add_option("overrides", arguments->model.overrides, "key=value");
  command->add_option("--split", arguments->split, "group of the data file (default: data.test)");
  command->add_option("--json", arguments->json, "write the figures to this file too");
  command->footer(
      "Examples:\n"
      "  lockstep evaluate runs/first\n"
      "  mpirun -np 2 lockstep evaluate runs/first --split /validation\n");
  command->callback(
      [arguments, &action] { action = [arguments] { return evaluate_run(*arguments); }; });
}

}  // namespace lockstep
