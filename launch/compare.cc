// lockstep compare RUN...: trained networks side by side, and which is the best.
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "io/base/file.h"
#include "launch/commands.h"
#include "launch/compared_run.h"

namespace lockstep {

namespace {

struct CompareArguments {
  std::vector<std::string> runs;
  std::string json, csv;
};

// What the table compares by; of accuracies it shows the share of errors.
struct Measure {
  std::string metric;
  std::string title;
  bool is_accuracy = false;
  std::optional<double> of(const MeasuredStep& measured) const {
    const std::optional<double> value = measured.metric(metric);
    return value && is_accuracy ? 1 - *value : value;
  }
  std::string text(double shown) const {
    return is_accuracy ? fmt::format("{:.2f} %", 100 * shown) : fmt::format("{:.6g}", shown);
  }
};

// The first that every run with metrics has: the share of errors, a deviation, the loss.
Measure choose_measure(const std::vector<ComparedRun>& runs) {
  for (const char* metric : {"accuracy", "rmse", "mae"}) {
    const bool all = std::ranges::all_of(runs, [&](const ComparedRun& run) {
      return run.end.metrics.empty() || run.end.metric(metric);
    });
    const bool is_accuracy = std::string_view(metric) == "accuracy";
    if (all) return {metric, is_accuracy ? "error rate" : metric, is_accuracy};
  }
  return {"loss", "loss", false};
}

bool competes(const ComparedRun& run, const ComparedRun& first, const Measure& measure) {
  return run.finished() && run.data_checksum == first.data_checksum && run.split == first.split &&
         measure.of(run.offer());
}

// Of the finished runs on the first run's data those with the smallest value at the weights that
// they can give, in the order named; none, where fewer than two compete.
std::vector<const ComparedRun*> find_best(const std::vector<ComparedRun>& runs,
                                          const Measure& measure) {
  std::vector<const ComparedRun*> best;
  int competing = 0;
  for (const ComparedRun& run : runs) {
    if (!competes(run, runs.front(), measure)) continue;
    ++competing;
    const double value = *measure.of(run.offer());
    if (!best.empty() && value < *measure.of(best.front()->offer())) best.clear();
    if (best.empty() || value == *measure.of(best.front()->offer())) best.push_back(&run);
  }
  if (competing < 2) best.clear();
  return best;
}

std::vector<std::string> remarks(const std::vector<ComparedRun>& runs, const Measure& measure,
                                 const std::vector<const ComparedRun*>& best) {
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
    else if (!run.best && competes(run, runs.front(), measure))
      lines.push_back(
          fmt::format("{}: kept no best checkpoint: compared by its last weights", run.folder));
  }
  for (std::size_t i = 1; i < best.size(); ++i)
    lines.push_back(fmt::format("{}: as good as {}", best[i]->folder, best.front()->folder));
  return lines;
}

// "4.10 % (epoch 3)"; with the metric that chose it, where that is another than the table's.
std::string best_text(const ComparedRun& run, const Measure& measure) {
  const std::optional<double> value = run.best ? measure.of(run.best->at) : std::nullopt;
  if (!value) return "-";
  const std::string by = run.best->metric == measure.metric
                             ? ""
                             : fmt::format(", {} {:.4g}", run.best->metric, run.best->value);
  return fmt::format("{} (epoch {}{})", measure.text(*value), run.best->at.epoch, by);
}

std::string table(const std::vector<ComparedRun>& runs, const Measure& measure,
                  const ComparedRun* best) {
  const std::string best_title = "best checkpoint";
  std::size_t folder_width = 3, network_width = 5, best_width = best_title.size();
  for (const ComparedRun& run : runs) {
    folder_width = std::max(folder_width, run.folder.size());
    network_width = std::max(network_width, run.network.size());
    best_width = std::max(best_width, best_text(run, measure).size());
  }
  std::string text = fmt::format("{:<{}}  {:<{}}  {:>12}  {:>6}  {:>14}  {:>12}  {:>{}}\n", "run",
                                 folder_width, "model", network_width, "parameters", "epochs",
                                 "time per epoch", measure.title, best_title, best_width);
  for (const ComparedRun& run : runs) {
    const std::optional<double> value = measure.of(run.end);
    text += fmt::format("{:<{}}  {:<{}}  {:>12}  {:>6}  {:>14}  {:>12}  {:>{}}{}\n", run.folder,
                        folder_width, run.network, network_width,
                        run.parameters > 0 ? std::to_string(run.parameters) : "-", run.epochs,
                        run.epochs > 0 ? fmt::format("{:.2f} s", run.seconds_per_epoch) : "-",
                        value ? measure.text(*value) : "-", best_text(run, measure), best_width,
                        &run == best ? "  * best" : "");
  }
  return text;
}

nlohmann::ordered_json or_null(const std::optional<double>& value) {
  return value ? nlohmann::ordered_json(*value) : nullptr;
}

nlohmann::ordered_json to_json(const std::vector<std::pair<std::string, double>>& metrics) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const auto& [name, number] : metrics) json[name] = number;
  return json;
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
    entry["value"] = or_null(measure.of(run.end));
    entry["metrics"] = to_json(run.end.metrics);
    entry["best"] = nullptr;
    if (run.best)
      entry["best"] = {{"metric", run.best->metric},
                       {"epoch", run.best->at.epoch},
                       {"step", run.best->at.step},
                       {"value", or_null(measure.of(run.best->at))},
                       {"metrics", to_json(run.best->at.metrics)}};
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
  std::string text = fmt::format(
      "run,model,parameters,epochs,seconds_per_epoch,{0},outcome,best_{0},best_epoch,best_metric,"
      "best_metric_value,best\n",
      title);
  const auto field = [](const std::optional<double>& value) {
    return value ? fmt::format("{}", *value) : "";
  };
  for (const ComparedRun& run : runs) {
    text += fmt::format("{},{},{},{},{},{},{}", csv_field(run.folder), csv_field(run.network),
                        run.parameters, run.epochs, run.seconds_per_epoch,
                        field(measure.of(run.end)), csv_field(run.outcome));
    text += run.best ? fmt::format(",{},{},{},{}", field(measure.of(run.best->at)),
                                   run.best->at.epoch, run.best->metric, run.best->value)
                     : ",,,,";
    text += &run == best ? ",1\n" : ",0\n";
  }
  return text;
}

int compare(const CompareArguments& arguments) {
  std::vector<ComparedRun> runs;
  for (const std::string& path : arguments.runs) runs.push_back(read_compared_run(path));
  const Measure measure = choose_measure(runs);
  const std::vector<const ComparedRun*> winners = find_best(runs, measure);
  const ComparedRun* best = winners.empty() ? nullptr : winners.front();
  const std::vector<std::string> lines = remarks(runs, measure, winners);
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
      "The error rate (or RMSE, or loss) is that of the validation part, at the weights that the\n"
      "run ended with and at its best checkpoint, which `--best` of evaluate, predict and export\n"
      "takes. That one decides which run is the best; of equal ones it is the first named.\n\n"
      "Example:\n"
      "  lockstep compare runs/resnet34 runs/efficientnet runs/convnext --csv pets.csv\n");
  command->callback([arguments, &action] { action = [arguments] { return compare(*arguments); }; });
}

}  // namespace lockstep
