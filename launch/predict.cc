// lockstep predict RUN|CONFIG --data FILE [--split test] [--logits] -o OUT.csv|.npy|.h5
#include <cmath>

#include "io/base/file.h"
#include "io/formats/npy.h"
#include "io/hdf5/hdf5.h"
#include "launch/commands.h"
#include "launch/job.h"
#include "launch/trained.h"
#include "runtime/run/evaluation.h"

namespace lockstep {

namespace {

struct PredictArguments {
  ModelArguments model;
  std::string data, split = "/test", output;
  bool logits = false;
};

// Logits to probabilities, row by row, in place: softmax, or the logistic function of one logit.
void to_probabilities(Tensor& outputs) {
  const std::int64_t columns = outputs.shape().back();
  for (std::int64_t row = 0; row < outputs.rows(); ++row) {
    float* const values = outputs.data<float>() + row * columns;
    if (columns == 1) {
      values[0] = static_cast<float>(1.0 / (1.0 + std::exp(-static_cast<double>(values[0]))));
      continue;
    }
    const double largest = *std::max_element(values, values + columns);
    double sum = 0;
    for (std::int64_t c = 0; c < columns; ++c) sum += std::exp(values[c] - largest);
    for (std::int64_t c = 0; c < columns; ++c)
      values[c] = static_cast<float>(std::exp(values[c] - largest) / sum);
  }
}

void write_classes_csv(const std::string& path, const Tensor& probabilities,
                       const std::vector<std::string>& names) {
  const std::int64_t columns = probabilities.shape().back();
  std::string text = "row,label,class,probability\n";
  for (std::int64_t row = 0; row < probabilities.rows(); ++row) {
    const float* const values = probabilities.data<float>() + row * columns;
    std::size_t label =
        static_cast<std::size_t>(std::max_element(values, values + columns) - values);
    float probability = values[label];
    if (columns == 1) {
      label = values[0] > 0.5f ? 1 : 0;
      probability = label == 1 ? values[0] : 1.0f - values[0];
    }
    text += fmt::format("{},{},\"{}\",{:.6g}\n", row, label,
                        label < names.size() ? names[label] : std::to_string(label), probability);
  }
  write_text(path, text);
}

void write_values_csv(const std::string& path, const Tensor& outputs) {
  const std::int64_t columns = outputs.elements() / std::max<std::int64_t>(1, outputs.rows());
  std::string text = "row";
  for (std::int64_t c = 0; c < columns; ++c) text += fmt::format(",output{}", c);
  text += "\n";
  for (std::int64_t row = 0; row < outputs.rows(); ++row) {
    text += std::to_string(row);
    for (std::int64_t c = 0; c < columns; ++c)
      text += fmt::format(",{:.9g}", outputs.data<float>()[row * columns + c]);
    text += "\n";
  }
  write_text(path, text);
}

void write_h5(const std::string& path, const Tensor& outputs) {
  PendingFile pending(path);
  hdf5::File file = hdf5::File::create(pending.temporary());
  file.write("/predictions", outputs.shape(), DType::kFloat32, outputs.raw());
  file.close();
  pending.commit();
}

int predict_run(const PredictArguments& arguments) {
  const bool csv = arguments.output.ends_with(".csv");
  const bool npy = arguments.output.ends_with(".npy");
  const auto configure = [&] {
    if (!csv && !npy && !arguments.output.ends_with(".h5"))
      throw Error("-o {}: predictions are written as .csv, .npy or .h5", arguments.output);
    Config config = load_trained_config(arguments.model);
    if (!arguments.data.empty()) config.data.file = arguments.data;
    return config;
  };
  return run_job(configure, [&](const Config& config, Communicator& communicator) {
    TrainedModel model(config, Purpose::kPredict, arguments.split, communicator);
    Session& session = model.session();
    EvaluationOptions options;
    options.batch = config.training.batch;
    Tensor outputs = predict(session.team(), session.data(), options);
    if (communicator.rank() != 0) return 0;

    const bool classes = config.loss.kind != LossKind::kMse;
    if (classes && !arguments.logits) to_probabilities(outputs);
    if (npy)
      write_npy(arguments.output, outputs);
    else if (!csv)
      write_h5(arguments.output, outputs);
    else if (classes && !arguments.logits)
      write_classes_csv(arguments.output, outputs, session.data().data->info().classes);
    else
      write_values_csv(arguments.output, outputs);
    fmt::print("{}: {} rows, {}\n", arguments.output, outputs.rows(),
               !classes           ? "values"
               : arguments.logits ? "logits"
                                  : "probabilities");
    return 0;
  });
}

}  // namespace

void add_predict(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<PredictArguments>();
  CLI::App* command =
      app.add_subcommand("predict", "write a trained network's outputs for a split");
  command
      ->add_option("run", arguments->model.run_or_config,
                   "run folder, or config with model.weights")
      ->required();
  command->add_option("overrides", arguments->model.overrides, "key=value");
  command->add_option("--data", arguments->data, "dataset file (default: the run's)");
  command->add_option("--split", arguments->split, "group of the data file")->capture_default_str();
  command->add_flag("--logits", arguments->logits, "the network's raw outputs, not probabilities");
  command->add_option("-o,--output", arguments->output, "OUT.csv, OUT.npy or OUT.h5")->required();
  command->footer(
      "Examples:\n"
      "  lockstep predict runs/first --data fashion-mnist.h5 --split /test -o predictions.csv\n"
      "  lockstep predict runs/first --logits -o logits.npy\n"
      "  lockstep predict mlp.toml model.weights=w.safetensors --data x.h5 -o out.npy\n");
  command->callback(
      [arguments, &action] { action = [arguments] { return predict_run(*arguments); }; });
}

}  // namespace lockstep
