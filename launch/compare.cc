// lockstep compare RUN...: trained networks side by side, and which is the best.
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "io/base/file.h"
#include "launch/commands.h"
#include "runtime/run/run_folder.h"

namespace lockstep {

namespace {

struct CompareArguments {
  std::vector<std::string> runs;
  std::string json, csv;
};

struct ComparedRun {
  std::string folder, network, outcome, data_checksum, split;
  std::int64_t parameters = 0, step = 0, epochs = 0;
  double seconds_per_epoch = 0;
  std::vector<std::pair<std::string, double>> metrics;  // of the weights that the run ended with
  bool finished() const { return outcome == "finished"; }
  std::optional<double> metric(const std::string& name) const {
    const auto found = std::ranges::find(metrics, name, &std::pair<std::string, double>::first);
    return found == metrics.end() ? std::nullopt : std::optional(found->second);
  }
};

// What the table compares by; of accuracies it shows the share of errors.
struct Measure {
  std::string metric;
  std::string title;
  bool is_accuracy = false;
  double value(double metric_value) const { return is_accuracy ? 1 - metric_value : metric_value; }
  std::string text(double shown) const {
    return is_accuracy ? fmt::format("{:.2f} %", 100 * shown) : fmt::format("{:.6g}", shown);
  }
};

std::vector<nlohmann::ordered_json> read_lines(const std::string& file) {
  std::vector<nlohmann::ordered_json> lines;
  std::istringstream text(read_text(file));
  for (std::string line; std::getline(text, line);) {
    // The last line of a run that was killed may be unfinished.
    const auto json = nlohmann::ordered_json::parse(line, nullptr, false);
    if (json.is_object()) lines.push_back(json);
  }
  return lines;
}

// The metrics of the step whose weights the run ended with; of the training part, where the run has
// no other.
void read_metrics(const RunFolder& folder, const Config& config, const RunRecord& record,
                  ComparedRun& run) {
  const EarlyStoppingConfig& stopping = config.training.early_stopping;
  const bool takes_best = stopping.patience > 0 && stopping.restore_best && record.best;
  run.split = config.data.validation.empty() ? "train" : "validation";
  for (const auto& line : read_lines(folder.metrics_file())) {
    if (line.value("split", "") != run.split) continue;
    const std::int64_t step = line.at("step");
    if (takes_best && step != record.best->step) continue;
    run.metrics.clear();
    for (const auto& [key, value] : line.items())
      if (value.is_number() && key != "step" && key != "epoch" && key != "phase")
        run.metrics.emplace_back(key, value);
  }
}

ComparedRun read_run(const std::string& path) {
  const RunFolder folder = RunFolder::open(path);
  try {
    const Config config = load_config(folder.config_file());
    const RunRecord record = folder.read_record();
    ComparedRun run;
    run.folder = path;
    run.network = config.model.network;
    run.parameters = record.parameters;
    run.data_checksum = record.data_checksum;
    if (!record.parts.empty()) {
      run.outcome = record.parts.back().outcome;
      run.step = record.parts.back().last_step;
    }
    for (const auto& line : read_lines(folder.timing_file())) {
      run.seconds_per_epoch += line.at("seconds").get<double>();
      ++run.epochs;
    }
    if (run.epochs > 0) run.seconds_per_epoch /= static_cast<double>(run.epochs);
    read_metrics(folder, config, record, run);
    return run;
  } catch (const nlohmann::json::exception& error) {
    throw Error("{}: the run's record cannot be read: {}", path, error.what());
  }
}

// The first that every run with metrics has: the share of errors, a deviation, the loss.
Measure choose_measure(const std::vector<ComparedRun>& runs) {
  for (const char* metric : {"accuracy", "rmse", "mae"}) {
    const bool all = std::ranges::all_of(
        runs, [&](const ComparedRun& run) { return run.metrics.empty() || run.metric(metric); });
    const bool is_accuracy = std::string_view(metric) == "accuracy";
    if (all) return {metric, is_accuracy ? "error rate" : metric, is_accuracy};
  }
  return {"loss", "loss", false};
}

// Of the finished runs on the first run's data the one with the smallest value; none, where fewer
// than two compete.
const ComparedRun* find_best(const std::vector<ComparedRun>& runs, const Measure& measure) {
  const ComparedRun* best = nullptr;
  int competing = 0;
  const auto value = [&](const ComparedRun& run) {
    return measure.value(*run.metric(measure.metric));
  };
  for (const ComparedRun& run : runs) {
    if (!run.finished() || run.data_checksum != runs.front().data_checksum ||
        run.split != runs.front().split || !run.metric(measure.metric))
      continue;
    ++competing;
    if (best == nullptr || value(run) < value(*best)) best = &run;
  }
  return competing < 2 ? nullptr : best;
}

std::vector<std::string> remarks(const std::vector<ComparedRun>& runs) {
  std::vector<std::string> lines;
  for (const ComparedRun& run : runs) {
    if (!run.finished())
      lines.push_back(fmt::format("{}: not finished ({}, {} steps): not compared", run.folder,
                                  run.outcome, run.step));
    if (run.data_checksum != runs.front().data_checksum)
      lines.push_back(fmt::format("{}: trained on other data than {}: not compared", run.folder,
                                  runs.front().folder));
    else if (run.split != runs.front().split)
      lines.push_back(
          fmt::format("{}: its figure is of the {} part, that of {} of the {} part: "
                      "not compared",
                      run.folder, run.split, runs.front().folder, runs.front().split));
  }
  return lines;
}

std::string table(const std::vector<ComparedRun>& runs, const Measure& measure,
                  const ComparedRun* best) {
  std::size_t folder_width = 3, network_width = 5;
  for (const ComparedRun& run : runs) {
    folder_width = std::max(folder_width, run.folder.size());
    network_width = std::max(network_width, run.network.size());
  }
  std::string text =
      fmt::format("{:<{}}  {:<{}}  {:>12}  {:>6}  {:>14}  {:>12}\n", "run", folder_width, "model",
                  network_width, "parameters", "epochs", "time per epoch", measure.title);
  for (const ComparedRun& run : runs) {
    const std::optional<double> value = run.metric(measure.metric);
    text += fmt::format(
        "{:<{}}  {:<{}}  {:>12}  {:>6}  {:>14}  {:>12}{}\n", run.folder, folder_width, run.network,
        network_width, run.parameters > 0 ? std::to_string(run.parameters) : "-", run.epochs,
        run.epochs > 0 ? fmt::format("{:.2f} s", run.seconds_per_epoch) : "-",
        value ? measure.text(measure.value(*value)) : "-", &run == best ? "  * best" : "");
  }
  return text;
}

nlohmann::ordered_json to_json(const std::vector<ComparedRun>& runs, const Measure& measure,
                               const ComparedRun* best, const std::vector<std::string>& lines) {
  nlohmann::ordered_json json;
  json["measure"] = measure.title;
  json["best"] = best != nullptr ? nlohmann::ordered_json(best->folder) : nullptr;
  json["runs"] = nlohmann::ordered_json::array();
  for (const ComparedRun& run : runs) {
    nlohmann::ordered_json entry{{"run", run.folder},
                                 {"model", run.network},
                                 {"parameters", run.parameters},
                                 {"epochs", run.epochs},
                                 {"seconds_per_epoch", run.seconds_per_epoch},
                                 {"outcome", run.outcome},
                                 {"split", run.split}};
    const std::optional<double> value = run.metric(measure.metric);
    entry["value"] = value ? nlohmann::ordered_json(measure.value(*value)) : nullptr;
    entry["metrics"] = nlohmann::ordered_json::object();
    for (const auto& [name, number] : run.metrics) entry["metrics"][name] = number;
    json["runs"].push_back(entry);
  }
  json["remarks"] = lines;
  return json;
}

// Quoted as RFC 4180 asks, where a comma or a quote stands in it.
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string to_csv(const std::vector<ComparedRun>& runs, const Measure& measure,
                   const ComparedRun* best) {
  std::string title = measure.title;
  std::ranges::replace(title, ' ', '_');
  std::string text = "run,model,parameters,epochs,seconds_per_epoch," + title + ",outcome,best\n";
  for (const ComparedRun& run : runs) {
    const std::optional<double> value = run.metric(measure.metric);
    text += fmt::format("{},{},{},{},{},{},{},{}\n", csv_field(run.folder), csv_field(run.network),
                        run.parameters, run.epochs, run.seconds_per_epoch,
                        value ? fmt::format("{}", measure.value(*value)) : "",
                        csv_field(run.outcome), &run == best ? 1 : 0);
  }
  return text;
}

int compare(const CompareArguments& arguments) {
  std::vector<ComparedRun> runs;
  for (const std::string& path : arguments.runs) runs.push_back(read_run(path));
  const Measure measure = choose_measure(runs);
  const ComparedRun* best = find_best(runs, measure);
  const std::vector<std::string> lines = remarks(runs);
  fmt::print("{}", table(runs, measure, best));
  for (const std::string& line : lines) fmt::print("{}\n", line);
  if (!arguments.json.empty())
    write_text(arguments.json, to_json(runs, measure, best, lines).dump(2) + "\n");
  if (!arguments.csv.empty()) write_text(arguments.csv, to_csv(runs, measure, best));
  return 0;
}

}  // namespace

void add_compare(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<CompareArguments>();
  CLI::App* command = app.add_subcommand(
      "compare", "table of runs: model, parameters, time per epoch, error rate; marks the best");
  command->add_option("runs", arguments->runs, "run folders")->required();
  command->add_option("--json", arguments->json, "FILE.json: the table for programs");
  command->add_option("--csv", arguments->csv, "FILE.csv: the same for a spreadsheet");
  command->footer(
      "The error rate (or RMSE, or loss) is that of the validation part, after the step whose\n"
      "weights the run ended with.\n\nExample:\n"
      "  lockstep compare runs/resnet34 runs/efficientnet runs/convnext --csv pets.csv\n");
  command->callback([arguments, &action] { action = [arguments] { return compare(*arguments); }; });
}

}  // namespace lockstep
