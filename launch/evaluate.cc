// lockstep evaluate RUN [--split test]: loss, metrics, scores and confusions of a trained network,
// and pictures of it.
#include <filesystem>
#include <nlohmann/json.hpp>

#include "io/base/file.h"
#include "launch/commands.h"
#include "launch/console.h"
#include "launch/job.h"
#include "launch/pictures.h"
#include "launch/score_table.h"
#include "launch/trained.h"
#include "runtime/run/evaluation.h"
#include "runtime/run/scores.h"

namespace lockstep {

namespace {

struct EvaluateArguments {
  ModelArguments model;
  std::string split, json, embedding, boundary;
};

// What the target asks for: figures of classes, or R² of values.
void report(const RowResults& rows, LossKind loss, const std::vector<std::string>& names,
            nlohmann::ordered_json& json) {
  const bool classes = rows.targets.dtype() == DType::kInt64 || loss == LossKind::kCrossEntropy;
  if (classes && rows.predicted) {
    const ClassScores scores = score_classes(rows.predicted, rows.outputs, labels_of(rows.targets));
    fmt::print("{}", score_table(scores, names));
    add_scores(json, scores, names);
  } else if (!classes && probabilities(loss) == Head::kRaw &&
             rows.outputs.shape() == rows.targets.shape()) {
    json["r2"] = r_squared(rows.outputs, rows.targets);
    fmt::print("R2 {:.4f}\n", json["r2"].get<double>());
  }
}

int evaluate_run(const EvaluateArguments& arguments, const Networks& networks) {
  const auto command = [&](const Config& config, Communicator& communicator) {
    const std::string split = arguments.split.empty() ? config.data.test : arguments.split;
    TrainedModel model(config, Purpose::kEvaluate, split, communicator, networks.make);
    Session& session = model.session();
    const Dataset& data = *session.data().data;
    EvaluationOptions options;
    options.batch = session.config().training.batch;
    options.head = probabilities(config.loss.kind);
    RowResults rows;
    const Evaluation result = evaluate(session.team(), session.data(), options, &rows);
    const PictureTitle title{arguments.model.run_or_config, split};
    std::string pictures;
    if (!arguments.embedding.empty())
      pictures += draw_embedding(session, options, rows, title, arguments.embedding);
    if (!arguments.boundary.empty())
      pictures += draw_boundary(session, options, rows, title, arguments.boundary);
    if (communicator.rank() != 0) return 0;

    for (const std::string& line : session.log()) fmt::print("{}\n", line);
    fmt::print("weights: {}\n{} {}: {} rows  {}\n", config.model.weights, config.data.file, split,
               result.rows, describe(result));
    nlohmann::ordered_json json{{"split", split}, {"rows", result.rows}, {"loss", result.loss}};
    for (const auto& [name, value] : result.metrics) json[name] = value;
    report(rows, config.loss.kind, data.info().classes, json);
    fmt::print("{}", pictures);
    if (!arguments.json.empty()) write_text(arguments.json, json.dump(1) + "\n");
    return 0;
  };
  return run_job([&] { return load_trained_config(arguments.model); }, command);
}

}  // namespace

void add_evaluate(CLI::App& app, Action& action, const Networks& networks) {
  auto arguments = std::make_shared<EvaluateArguments>();
  CLI::App* command = app.add_subcommand("evaluate", "measure a trained network on a split");
  command
      ->add_option("run", arguments->model.run_or_config,
                   "run folder, or config with model.weights")
      ->required();
  command->add_option("overrides", arguments->model.overrides, "key=value");
  add_best_flag(*command, arguments->model);
  command->add_option("--split", arguments->split, "group of the data file (default: data.test)");
  command->add_option("--json", arguments->json, "write the figures to this file too");
  command->add_option("--embedding", arguments->embedding,
                      "OUT.png: the last hidden layer's outputs on two principal axes, a point a "
                      "row, coloured by class");
  command->add_option("--boundary", arguments->boundary,
                      "OUT.png: rows of two columns, before the class that each place gets");
  command->footer(
      "Examples:\n"
      "  lockstep evaluate runs/first\n"
      "  lockstep evaluate runs/first --best\n"
      "  lockstep evaluate runs/first --embedding embedding.png\n"
      "  mpirun -np 2 lockstep evaluate runs/first --split /validation --json scores.json\n"
      "\nPrecision, recall and F1 are 0 where they would be 0 / 0; their means are over the "
      "classes "
      "that occur.\nROC AUC is of the probabilities that `predict` writes, each class against the "
      "rest; ties count one half.\n");
  command->callback([arguments, &networks, &action] {
    action = [arguments, &networks] { return evaluate_run(*arguments, networks); };
  });
}

}  // namespace lockstep
