#include "launch/compared_run.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "io/base/file.h"
#include "io/formats/checkpoint.h"
#include "runtime/run/run_folder.h"

namespace lockstep {

std::optional<double> MeasuredStep::metric(const std::string& name) const {
  const auto found = std::ranges::find(metrics, name, &std::pair<std::string, double>::first);
  return found == metrics.end() ? std::nullopt : std::optional(found->second);
}

namespace {

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

MeasuredStep measured_step(const nlohmann::ordered_json& line) {
  MeasuredStep measured{line.at("step"), line.at("epoch"), {}};
  for (const auto& [key, value] : line.items())
    if (value.is_number() && key != "step" && key != "epoch" && key != "phase")
      measured.metrics.emplace_back(key, value);
  return measured;
}

bool has_checkpoint(const RunFolder& folder, std::int64_t step) {
  return std::filesystem::exists(folder.checkpoints() + "/" + checkpoint_name(step));
}

// Of the training part, where the run has no other.
void read_metrics(const RunFolder& folder, const Config& config, const RunRecord& record,
                  ComparedRun& run) {
  const EarlyStoppingConfig& stopping = config.training.early_stopping;
  const bool ends_with_best = stopping.patience > 0 && stopping.restore_best && record.best;
  const bool keeps_best = record.best && has_checkpoint(folder, record.best->step);
  run.split = config.data.validation.empty() ? "train" : "validation";
  for (const auto& line : read_lines(folder.metrics_file())) {
    if (line.value("split", "") != run.split) continue;
    const MeasuredStep measured = measured_step(line);
    const bool is_best = record.best && measured.step == record.best->step;
    if (is_best && keeps_best) run.best = {record.best->metric, record.best->value, measured};
    if (is_best || !ends_with_best) run.end = measured;
  }
}

}  // namespace

ComparedRun read_compared_run(const std::string& path) {
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

}  // namespace lockstep
