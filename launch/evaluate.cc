// lockstep evaluate RUN [--split test] [--embedding OUT.png]: loss, metrics, scores and confusions
// of a trained network, and a picture of its last hidden activations.
#include <filesystem>
#include <nlohmann/json.hpp>

#include "io/base/file.h"
#include "io/inspection/principal_plane.h"
#include "io/inspection/scatter.h"
#include "launch/commands.h"
#include "launch/console.h"
#include "launch/job.h"
#include "launch/score_table.h"
#include "launch/trained.h"
#include "models/head.h"
#include "runtime/communication/agreement.h"
#include "runtime/run/activations.h"
#include "runtime/run/evaluation.h"
#include "runtime/run/scores.h"

namespace lockstep {

namespace {

struct EvaluateArguments {
  ModelArguments model;
  std::string split, json, embedding;
};

// Labels of rows; probabilities count as their likeliest class, as they do for the accuracy.
Tensor labels_of(const Tensor& targets) {
  if (targets.dtype() == DType::kInt64) return targets;
  const std::int64_t columns = targets.shape().back();
  const Tensor labels = host_tensor({targets.rows()}, DType::kInt64);
  for (std::int64_t row = 0; row < targets.rows(); ++row) {
    const float* const values = targets.data<float>() + row * columns;
    labels.data<std::int64_t>()[row] = std::max_element(values, values + columns) - values;
  }
  return labels;
}

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

// The last hidden activations of all rows, on their two principal axes, coloured by class.
void draw_embedding(const Activations& activations, const Tensor& labels,
                    const std::vector<std::string>& names, const std::string& title,
                    const std::string& png) {
  const PrincipalPlane plane = principal_plane(activations.values);
  const auto axis = [&](std::size_t i) {
    return fmt::format("{} principal axis, {:.1f} % of the variance", i == 0 ? "first" : "second",
                       100 * plane.share[i]);
  };
  const std::span<const std::int64_t> of_row = labels.span<std::int64_t>();
  std::vector<std::string> classes;
  for (std::int64_t label = 0; label <= *std::max_element(of_row.begin(), of_row.end()); ++label)
    classes.push_back(class_name(names, label));
  write_scatter({title, {axis(0), axis(1)}, plane.places, of_row, classes}, png);
  fmt::print(
      "{}: the {} outputs of layer '{}' for {} rows, on their two principal axes ({:.1f} % of "
      "the variance)\n",
      png, activations.values.shape()[1], activations.layer, activations.values.rows(),
      100 * (plane.share[0] + plane.share[1]));
}

// What the head of a network of classes gets to see.
Activations last_hidden(TrainedModel& model, const Dataset& data, const EvaluationOptions& options,
                        LossKind loss) {
  Session& session = model.session();
  if (data.target() != TargetKind::kClass && loss != LossKind::kCrossEntropy)
    throw AgreedError("--embedding colours rows by their class, but the targets are values");
  const std::optional<std::string> head = head_scope(session.team().params());
  if (!head || head->empty())
    throw AgreedError(
        "--embedding shows what the last linear layer gets from hidden ones, and this "
        "network has none");
  return inputs_of_layer(session.team(), session.data(), options, *head);
}

int evaluate_run(const EvaluateArguments& arguments, const Networks& networks) {
  const auto command = [&](const Config& config, Communicator& communicator) {
    const std::string split = arguments.split.empty() ? config.data.test : arguments.split;
    TrainedModel model(config, Purpose::kEvaluate, split, communicator, networks.make);
    Session& session = model.session();
    const Dataset& data = *session.data().data;
    EvaluationOptions options;
    options.batch = config.training.batch;
    options.head = probabilities(config.loss.kind);
    RowResults rows;
    const Evaluation result = evaluate(session.team(), session.data(), options, &rows);
    Activations hidden;
    if (!arguments.embedding.empty()) hidden = last_hidden(model, data, options, config.loss.kind);
    if (communicator.rank() != 0) return 0;

    for (const std::string& line : session.log()) fmt::print("{}\n", line);
    fmt::print("weights: {}\n{} {}: {} rows  {}\n", config.model.weights, config.data.file, split,
               result.rows, describe(result));
    nlohmann::ordered_json json{{"split", split}, {"rows", result.rows}, {"loss", result.loss}};
    for (const auto& [name, value] : result.metrics) json[name] = value;
    report(rows, config.loss.kind, data.info().classes, json);
    if (hidden.values)
      draw_embedding(
          hidden, labels_of(rows.targets), data.info().classes,
          fmt::format("{}: {} rows of {}", arguments.model.run_or_config, result.rows, split),
          arguments.embedding);
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
  command->add_option("--split", arguments->split, "group of the data file (default: data.test)");
  command->add_option("--json", arguments->json, "write the figures to this file too");
  command->add_option("--embedding", arguments->embedding,
                      "OUT.png: the last hidden layer's outputs on two principal axes, a point a "
                      "row, coloured by class");
  command->footer(
      "Examples:\n"
      "  lockstep evaluate runs/first\n"
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
