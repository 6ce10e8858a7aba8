#include "runtime/run/run_folder.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <system_error>

#include "io/base/file.h"
#include "io/base/system_reason.h"
#include "kernels/core/error.h"

namespace lockstep {

namespace {

namespace fs = std::filesystem;

// Letters that a shell and any file system take as they are.
std::string folder_name(const std::string& name) {
  std::string result = name;
  for (char& c : result) {
    const bool plain = ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') || ('0' <= c && c <= '9') ||
                       c == '-' || c == '_' || c == '.';
    if (!plain) c = '_';
  }
  return result.empty() || result[0] == '.' ? "run" + result : result;
}

// Makes the folder itself; false where something of that name exists.
bool make_folder(const std::string& path) {
  std::error_code error;
  const fs::path parent = fs::path(path).parent_path();
  if (!parent.empty()) fs::create_directories(parent, error);
  const bool made = !error && fs::create_directory(path, error);
  if (error && !fs::is_directory(path))
    throw Error("{}: cannot make the run folder: {}. Name another with --out", path,
                system_reason(error.value()));
  return made;
}

// A default name is taken by the run that makes the folder first, also within one second.
std::string make_default_folder(const std::string& name) {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  const std::string base =
      fmt::format("runs/{}-{:%Y%m%d-%H%M%S}", folder_name(name), fmt::localtime(now));
  for (int count = 1;; ++count) {
    const std::string path = count == 1 ? base : fmt::format("{}-{}", base, count);
    if (make_folder(path)) return path;
  }
}

// A run that failed before its config was written leaves no more than an empty folder in one.
bool holds_nothing(const std::string& path, std::error_code& error) {
  for (const auto& entry : fs::directory_iterator(path, error))
    if (entry.path().filename() != "checkpoints" || !fs::is_empty(entry.path(), error))
      return false;
  return true;
}

void make_named_folder(const std::string& path) {
  if (fs::exists(path) && !fs::is_directory(path))
    throw Error("{}: is a file; name a folder with --out", path);
  if (make_folder(path)) return;
  std::error_code error;
  const bool empty = holds_nothing(path, error);
  if (error) throw Error("{}: cannot read the folder: {}", path, error.message());
  if (!empty)
    throw Error(
        "{}: exists and is not empty; continue it with --resume {}, or name another folder "
        "with --out",
        path, path);
}

nlohmann::ordered_json to_json(const RunPart& part) {
  nlohmann::ordered_json json;
  json["version"] = part.version;
  json["build"] = part.build;
  json["mpi"] = part.mpi;
  json["processor"] = part.processor;
  json["isa"] = part.isa;
  if (!part.gpu.empty()) json["gpu"] = part.gpu;
  if (!part.plans.empty()) json["plans"] = part.plans;
  json["placement"] = part.placement;
  json["ranks"] = part.threads.size();
  json["threads"] = part.threads;
  json["start"] = part.start;
  json["end"] = part.end;
  json["first_step"] = part.first_step;
  json["last_step"] = part.last_step;
  json["outcome"] = part.outcome;
  return json;
}

RunPart part_from_json(const nlohmann::ordered_json& json) {
  RunPart part;
  json.at("version").get_to(part.version);
  json.at("build").get_to(part.build);
  json.at("mpi").get_to(part.mpi);
  json.at("processor").get_to(part.processor);
  json.at("isa").get_to(part.isa);
  part.gpu = json.value("gpu", "");
  part.plans = json.value("plans", "");
  json.at("placement").get_to(part.placement);
  json.at("threads").get_to(part.threads);
  json.at("start").get_to(part.start);
  json.at("end").get_to(part.end);
  json.at("first_step").get_to(part.first_step);
  json.at("last_step").get_to(part.last_step);
  json.at("outcome").get_to(part.outcome);
  return part;
}

}  // namespace

RunFolder RunFolder::create(const std::string& out, const std::string& name) {
  if (!out.empty()) make_named_folder(out);
  RunFolder folder(out.empty() ? make_default_folder(name) : out);
  if (::access(folder.path_.c_str(), W_OK | X_OK) != 0)
    throw Error("{}: the run folder cannot be written: no permission. Name another with --out",
                folder.path_);
  make_folder(folder.checkpoints());
  return folder;
}

RunFolder RunFolder::open(const std::string& path) {
  if (!fs::is_directory(path))
    throw Error("{}: no such run folder; name one that train made", path);
  RunFolder folder(path);
  if (!fs::is_regular_file(folder.config_file()))
    throw Error("{}: not a run folder: it holds no config.toml", path);
  return folder;
}

void RunFolder::write_config(const Config& config) const {
  write_text(config_file(), to_toml(config));
}

void RunFolder::write_record(const RunRecord& record) const {
  nlohmann::ordered_json json;
  json["name"] = record.name;
  json["seed"] = record.seed;
  json["shards"] = record.shards;
  json["parameters"] = record.parameters;
  json["data_checksum"] = record.data_checksum;
  json["parts"] = nlohmann::ordered_json::array();
  for (const RunPart& part : record.parts) json["parts"].push_back(to_json(part));
  if (record.best)
    json["best"] = {{"metric", record.best->metric},
                    {"value", record.best->value},
                    {"step", record.best->step}};
  json["final_metrics"] = nlohmann::ordered_json::object();
  for (const auto& [name, value] : record.final_metrics) json["final_metrics"][name] = value;
  write_text(record_file(), json.dump(2) + "\n");
}

RunRecord RunFolder::read_record() const {
  try {
    const auto json = nlohmann::ordered_json::parse(read_text(record_file()));
    RunRecord record;
    json.at("name").get_to(record.name);
    json.at("seed").get_to(record.seed);
    json.at("shards").get_to(record.shards);
    record.parameters = json.value("parameters", std::int64_t{0});
    json.at("data_checksum").get_to(record.data_checksum);
    for (const auto& part : json.at("parts")) record.parts.push_back(part_from_json(part));
    if (json.contains("best")) {
      const auto& best = json.at("best");
      record.best = {best.at("metric"), best.at("value"), best.at("step")};
    }
    for (const auto& [name, value] : json.at("final_metrics").items())
      record.final_metrics.emplace_back(
          name, value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>());
    return record;
  } catch (const nlohmann::ordered_json::exception& error) {
    throw Error("{}: not a run's record: {}", record_file(), error.what());
  }
}

std::string utc_now() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(now));
}

}  // namespace lockstep
