// lockstep predict RUN|CONFIG [--data FILE ...] [--split test] [--logits] [-o OUT.csv|.npy|.h5]
#include <algorithm>
#include <filesystem>

#include "io/base/file.h"
#include "io/dataset/dataset_writer.h"
#include "io/dataset/row_names.h"
#include "io/formats/npy.h"
#include "io/hdf5/hdf5.h"
#include "launch/commands.h"
#include "launch/job.h"
#include "launch/number_checks.h"
#include "launch/predict_input.h"
#include "launch/score_table.h"
#include "launch/trained.h"
#include "runtime/run/evaluation.h"

namespace lockstep {

namespace {

struct PredictArguments {
  ModelArguments model;
  std::vector<std::string> data;
  std::string split = "/test", output;
  CsvOptions csv;
  std::int64_t resize = 0;
  bool logits = false;

  // --data takes any number of files, and would swallow key=value behind them.
  void return_overrides() {
    const auto is_override = [](const std::string& text) {
      return text.find('=') != std::string::npos && !std::filesystem::exists(text);
    };
    std::copy_if(data.begin(), data.end(), std::back_inserter(model.overrides), is_override);
    std::erase_if(data, is_override);
  }
};

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) result += c == '"' ? std::string("\"\"") : std::string(1, c);
  return result + "\"";
}

// What stands in the first column: the image's file, or the row's number where rows have no names.
std::string row_title(const PredictInput& input) {
  return input.files.empty() ? "row" : "file";
}
std::string row_name(const PredictInput& input, std::int64_t row) {
  return input.files.empty() ? std::to_string(row)
                             : quoted(input.files[static_cast<std::size_t>(row)]);
}

std::string classes_csv(const RowResults& results, const std::vector<std::string>& names,
                        const PredictInput& input) {
  const std::int64_t columns = results.outputs.shape().back();
  std::string text = row_title(input) + ",label,class,probability\n";
  for (std::int64_t row = 0; row < results.outputs.rows(); ++row) {
    const std::int64_t label = results.predicted.data<std::int64_t>()[row];
    const float* const values = results.outputs.data<float>() + row * columns;
    const float probability = columns > 1 ? values[label] : label == 1 ? values[0] : 1 - values[0];
    text += fmt::format("{},{},{},{:.6g}\n", row_name(input, row), label,
                        quoted(class_name(names, label)), probability);
  }
  return text;
}

std::string values_csv(const Tensor& outputs, const PredictInput& input) {
  const std::int64_t columns = outputs.elements() / std::max<std::int64_t>(1, outputs.rows());
  std::string text = row_title(input);
  for (std::int64_t c = 0; c < columns; ++c) text += fmt::format(",output{}", c);
  text += "\n";
  for (std::int64_t row = 0; row < outputs.rows(); ++row) {
    text += row_name(input, row);
    for (std::int64_t c = 0; c < columns; ++c)
      text += fmt::format(",{:.9g}", outputs.data<float>()[row * columns + c]);
    text += "\n";
  }
  return text;
}

void write_h5(const std::string& path, const Tensor& outputs) {
  PendingFile pending(path);
  hdf5::File file = hdf5::File::create(pending.temporary());
  file.write("/predictions", outputs.shape(), DType::kFloat32, outputs.raw());
  file.close();
  pending.commit();
}

// Checks what was asked for; reads the config.
Config configure(PredictArguments& arguments) {
  const std::string& output = arguments.output;
  if (!output.empty() && !output.ends_with(".csv") && !output.ends_with(".npy") &&
      !output.ends_with(".h5"))
    throw Error("-o {}: predictions are written as .csv, .npy or .h5", output);
  if (!output.empty()) check_output(output, true);
  arguments.return_overrides();
  Config config = load_trained_config(arguments.model);
  if (arguments.data.empty() || is_csv_or_images(arguments.data)) return config;
  if (arguments.data.size() > 1)
    throw Error("--data takes one dataset file, one .csv, or any number of images and folders");
  config.data.file = arguments.data.front();
  return config;
}

int predict_run(PredictArguments& arguments, const Networks& networks) {
  const std::string& output = arguments.output;
  PredictInput input;
  const auto configured = [&] {
    Config config = configure(arguments);
    if (!is_csv_or_images(arguments.data))
      input.files = row_names(data_source(config.data, arguments.split));
    else
      input = read_predict_input(arguments.data, arguments.csv,
                                 trained_data(arguments.model, config), arguments.resize);
    return config;
  };
  return run_job(configured, [&](const Config& config, Communicator& communicator) {
    TrainedModel model(config, Purpose::kPredict, arguments.split, communicator, networks.make,
                       input.data);
    Session& session = model.session();
    EvaluationOptions options;
    options.batch = session.config().training.batch;
    const Head head = probabilities(config.loss.kind);
    const bool classes = head != Head::kRaw;
    if (!arguments.logits) options.head = head;
    // Several outputs that are probabilities of their own name no class.
    const bool one_class_a_row =
        head == Head::kSoftmax || session.team().replica().output_shape().elements() == 1;
    const RowResults results = predict(session.team(), session.data(), options);
    if (communicator.rank() != 0) return 0;

    if (output.ends_with(".npy")) {
      write_npy(output, results.outputs);
    } else if (output.ends_with(".h5")) {
      write_h5(output, results.outputs);
    } else {
      const std::string text =
          classes && !arguments.logits && one_class_a_row
              ? classes_csv(results, session.data().data->info().classes, input)
              : values_csv(results.outputs, input);
      if (output.empty()) {
        fmt::print("{}", text);
        return 0;
      }
      write_text(output, text);
    }
    fmt::print("{}: {} rows, {}\n", output, results.outputs.rows(),
               !classes           ? "values"
               : arguments.logits ? "logits"
                                  : "probabilities");
    return 0;
  });
}

}  // namespace

void add_predict(CLI::App& app, Action& action, const Networks& networks) {
  auto arguments = std::make_shared<PredictArguments>();
  CLI::App* command = app.add_subcommand(
      "predict", "a trained network's outputs for a split, a CSV file or images");
  command
      ->add_option("run", arguments->model.run_or_config,
                   "run folder, or config with model.weights")
      ->required();
  command->add_option("overrides", arguments->model.overrides, "key=value");
  add_best_flag(*command, arguments->model);
  command->add_option(
      "--data", arguments->data,
      "dataset file (default: the run's), a .csv, or .jpg and .png files and folders of them");
  command->add_option("--split", arguments->split, "group of the data file")->capture_default_str();
  command->add_flag("--logits", arguments->logits, "the network's raw outputs, not probabilities");
  command->add_option("-o,--output", arguments->output,
                      "OUT.csv, OUT.npy or OUT.h5 (default: CSV on the terminal)");
  command
      ->add_option("--resize", arguments->resize,
                   "shorter side of images before their centre is cut out (default: as prepared)")
      ->check(kPositive);
  command->add_option("--delimiter", arguments->csv.delimiter, "between the cells of a .csv")
      ->capture_default_str();
  command->add_flag_callback(
      "--no-header", [arguments] { arguments->csv.header = false; },
      "the first line of a .csv is data: columns are 0, 1, ...");
  command->footer(
      "Examples:\n"
      "  lockstep predict runs/first --data fashion-mnist.h5 --split /test -o predictions.csv\n"
      "  lockstep predict runs/first --logits -o logits.npy\n"
      "  lockstep predict runs/digits --data seven.png eight.png folder/\n"
      "  lockstep predict runs/titanic --data passengers.csv -o predictions.csv\n"
      "  lockstep predict mlp.toml model.weights=w.safetensors --data x.h5 -o out.npy\n");
  command->callback([arguments, &networks, &action] {
    action = [arguments, &networks] { return predict_run(*arguments, networks); };
  });
}

}  // namespace lockstep
