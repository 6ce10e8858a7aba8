// From TOML text and overrides to a checked Config.
#include "runtime/config/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "io/base/file.h"
#include "kernels/core/error.h"
#include "runtime/config/augment_kinds.h"
#include "runtime/config/config_schema.h"
#include "runtime/config/config_toml.h"
#include "runtime/config/config_value.h"
#include "runtime/config/parameter_groups.h"
#include "runtime/config/phases.h"

namespace lockstep {

namespace {

constexpr std::string_view kModelPrefix = "model.";
constexpr std::string_view kInitialPrefix = "model.initial.";

// All entries by key; an override takes the place of what the file said.
class Entries {
 public:
  explicit Entries(FlatToml file) {
    for (auto& [path, place] : file.tables)
      if (!is_table(path) && !path.starts_with(kModelPrefix))
        throw Error("{}: unknown table '{}'{}", place, path, suggestion(path));
    for (auto& [path, entry] : file.entries) entries_[path] = std::move(entry);
  }

  // An override also displaces what can no longer stand beside it: the same thing in another unit,
  // and keys of the file that do not belong to a newly chosen kind.
  void override_with(const std::string& text) {
    const std::size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos)
      throw Error("override '{}': expected key=value, as in optimizer.lr=0.1", text);
    const std::string key_text = text.substr(0, equals);
    FlatToml parsed = parse_override(key_text, text.substr(equals + 1));
    if (key_text.find('[') != std::string::npos) {
      if (parsed.entries.size() != 1 || parsed.entries[0].first != key_text)
        throw Error("override '{}': expected one value, not a table", text);
      ConfigEntry& place = element(key_text, text);
      place = std::move(parsed.entries[0].second);
      return;
    }
    for (auto& [path, entry] : parsed.entries) {
      const ConfigKey* key = find_key(path);
      if (key != nullptr && !key->excludes.empty()) displace(key->excludes);
      if (key != nullptr && key->name() == "kind") drop_other_kinds(*key, entry);
      entries_[path] = std::move(entry);
      overridden_.insert(path);
    }
  }

  const ConfigEntry* find(const std::string& path) const {
    const auto found = entries_.find(path);
    return found == entries_.end() ? nullptr : &found->second;
  }
  std::string where(const std::string& path, const std::string& otherwise) const {
    const ConfigEntry* entry = find(path);
    return entry == nullptr ? otherwise : entry->where;
  }
  const std::map<std::string, ConfigEntry>& all() const { return entries_; }

 private:
  // The entry that "model.layers[2].features" names; a new key of that table is made.
  ConfigEntry& element(const std::string& path, const std::string& text) {
    const std::size_t bracket = path.find('[');
    const auto found = entries_.find(path.substr(0, bracket));
    if (found == entries_.end())
      throw Error("override '{}': there is no '{}'", text, path.substr(0, bracket));
    ConfigEntry* entry = &found->second;
    for (std::size_t at = bracket; at < path.size();) {
      const std::size_t close = path.find(']', at);
      std::size_t index = 0;
      const bool closed = close != std::string::npos && path[at] == '[';
      const char* const end = path.data() + (closed ? close : at + 1);
      const auto [stop, error] = std::from_chars(path.data() + at + 1, end, index);
      if (!closed || error != std::errc() || stop != end || path.compare(close + 1, 1, ".") != 0)
        throw Error("override '{}': expected a key as in model.layers[2].features", text);
      auto* const array = std::get_if<ConfigValue::Array>(&entry->value.value);
      if (array == nullptr || index >= array->size())
        throw Error("override '{}': '{}' has {} elements, counted from 0", text, path.substr(0, at),
                    array == nullptr ? 0 : array->size());
      auto* const table = std::get_if<ConfigTable>(&(*array)[index].value);
      if (table == nullptr)
        throw Error("override '{}': '{}' is no table", text, path.substr(0, close + 1));
      at = std::min(path.find('[', close), path.size());
      const std::string key = path.substr(close + 2, at - close - 2);
      auto item = std::ranges::lower_bound(table->items, key, {}, &ConfigItem::key);
      if (item == table->items.end() || item->key != key)
        item = table->items.insert(item, {key, {}});
      entry = &item->entry;
    }
    return *entry;
  }

  void drop_other_kinds(const ConfigKey& kind, const ConfigEntry& entry) {
    const auto* chosen = std::get_if<std::string>(&entry.value.value);
    for (const ConfigKey& key : config_schema()) {
      const bool belongs = key.kinds.empty() || chosen == nullptr ||
                           std::ranges::find(key.kinds, *chosen) != key.kinds.end();
      if (key.table() == kind.table() && !belongs) displace(key.path);
    }
  }

  // Overrides that contradict each other stay, for the checks to find.
  void displace(const std::string& path) {
    if (!overridden_.contains(path)) entries_.erase(path);
  }

  std::map<std::string, ConfigEntry> entries_;
  std::set<std::string> overridden_;
};

void set_entry(const std::string& path, const ConfigEntry& entry, Config& config) {
  if (const ConfigKey* key = find_key(path)) {
    set_key(*key, entry, config);
  } else if (path.starts_with(kInitialPrefix)) {
    const std::string name = path.substr(kInitialPrefix.size());
    config.model.initial.insert_or_assign(name, to_initial_value(path, entry));
  } else if (path.starts_with(kModelPrefix) && path != "model.initial") {
    config.model.table.set(path.substr(kModelPrefix.size()), entry);
  } else if (is_table(path) || path == "model.initial") {
    throw Error("{}: '{}' is a table, found {}", entry.where, path, describe(entry.value));
  } else {
    throw Error("{}: unknown key '{}'{}", entry.where, path, suggestion(path));
  }
}

// Keys that were given but mean nothing: a rate that nobody reads is a mistake, not a remark.
void check_belonging(const Entries& entries, const Config& config) {
  for (const ConfigKey& key : config_schema()) {
    const ConfigEntry* entry = entries.find(key.path);
    if (entry == nullptr) continue;
    if (!key.excludes.empty() && entries.find(key.excludes) != nullptr)
      throw Error("{}: '{}' and '{}' exclude each other; give one", entry->where, key.path,
                  key.excludes);
    if (applies(key, config)) continue;
    if (key.path == "checkpoint.best") continue;  // see check_early_stopping
    if (key.kinds.empty())
      throw Error("{}: '{}' does nothing without 'training.early_stopping.patience'", entry->where,
                  key.path);
    const ConfigKey& kind = *find_key(std::string(key.table()) + ".kind");
    throw Error("{}: '{}' does not belong to {} = {}; leave it out", entry->where, key.path,
                kind.path, toml_text(kind.get(config)));
  }
}

void check_normalisation(const Entries& entries, const std::string& name, const DataConfig& data) {
  if (!data.normalize && !(data.mean.empty() && data.std.empty()))
    throw Error("{}: 'data.mean' and 'data.std' do nothing where 'data.normalize' is false",
                entries.where(data.mean.empty() ? "data.std" : "data.mean", name));
  if (data.mean.size() != data.std.size())
    throw Error("{}: 'data.mean' holds {} numbers and 'data.std' {}; give one of each a channel",
                entries.where(data.mean.empty() ? "data.std" : "data.mean", name), data.mean.size(),
                data.std.size());
}

void check_augmentation(const Entries& entries, const std::string& name, const DataConfig& data) {
  read_augmentation(data);
  if (data.copies > 1 && data.augment.empty())
    throw Error("{}: 'data.copies' without [[data.augment]] gives the same samples again and again",
                entries.where("data.copies", name));
}

void check_reduction(const Entries& entries, const std::string& name, const RunConfig& run) {
  if (run.reduction == Reduction::kTree && run.exchange_type != ExchangeType::kFloat32)
    throw Error(
        "{}: 'run.exchange_type' = \"bfloat16\" needs 'run.reduction' = \"fast\": the tree "
        "promises the bits of float32",
        entries.where("run.exchange_type", name));
}

void check_optimizer(const Entries& entries, const std::string& name,
                     const OptimizerConfig& optimizer) {
  if (optimizer.nesterov && (optimizer.momentum == 0 || optimizer.dampening != 0))
    throw Error("{}: 'optimizer.nesterov' needs 'optimizer.momentum' above 0 and no dampening",
                entries.where("optimizer.nesterov", name));
  if (optimizer.dampening != 0 && optimizer.momentum == 0)
    throw Error("{}: 'optimizer.dampening' does nothing without 'optimizer.momentum'",
                entries.where("optimizer.dampening", name));
  parameter_groups(optimizer);  // its own errors
}

void check_schedule(const Entries& entries, const std::string& name,
                    const ScheduleConfig& schedule) {
  if (schedule.kind == ScheduleKind::kStep && schedule.every_steps + schedule.every_epochs == 0)
    throw Error("{}: the schedule \"step\" needs 'schedule.every_epochs' or 'schedule.every_steps'",
                entries.where("schedule.kind", name));
  const bool in_epochs = !schedule.milestones_epochs.empty();
  const auto& milestones = in_epochs ? schedule.milestones_epochs : schedule.milestones_steps;
  if (schedule.kind == ScheduleKind::kMultiStep && milestones.empty())
    throw Error(
        "{}: the schedule \"multi_step\" needs 'schedule.milestones_epochs' or "
        "'schedule.milestones_steps'",
        entries.where("schedule.kind", name));
  const std::string path = in_epochs ? "schedule.milestones_epochs" : "schedule.milestones_steps";
  if (!std::ranges::is_sorted(milestones))
    throw Error("{}: '{}' must ascend", entries.where(path, name), path);
}

void check_clipping(const Entries& entries, const std::string& name,
                    const TrainingConfig& training) {
  if (training.clip_norm > 0 && training.clip_value > 0)
    throw Error("{}: 'training.clip_norm' and 'training.clip_value' exclude each other; give one",
                entries.where("training.clip_value", name));
}

void check_early_stopping(const Entries& entries, const std::string& name, const Config& config) {
  const EarlyStoppingConfig& stopping = config.training.early_stopping;
  if (best_rule(config).metric == "top_k" && config.training.top_k == 0)
    throw Error(
        "{}: the metric \"top_k\" needs 'training.top_k'",
        entries.where(stopping.patience > 0 ? "training.early_stopping.metric" : "checkpoint.best",
                      name));
  if (stopping.patience == 0) return;
  if (const ConfigEntry* best = entries.find("checkpoint.best");
      best && config.checkpoint.best != stopping.metric)
    throw Error(
        "{}: 'checkpoint.best' is \"{}\", but with 'training.early_stopping.patience' the best is "
        "by 'training.early_stopping.metric', \"{}\"; give both the same metric, or leave the "
        "first out",
        best->where, config.checkpoint.best, stopping.metric);
  const std::string where = entries.where("training.early_stopping.patience", name);
  if (config.data.validation.empty())
    throw Error("{}: early stopping watches the validation part; set 'data.validation'", where);
}

void check_phases(const Entries& entries, const Config& config) {
  for (const char* key : {"training.epochs", "training.steps"})
    if (const ConfigEntry* entry = entries.find(key); entry && !config.training.phases.empty())
      throw Error("{}: '{}' and 'training.phases' exclude each other: a phase has epochs or steps",
                  entry->where, key);
  training_phases(config);  // its own errors
}

void resolve_optimizer(const Entries& entries, OptimizerConfig& optimizer) {
  if (optimizer.kind == OptimizerKind::kAdagrad && entries.find("optimizer.eps") == nullptr)
    optimizer.eps = kAdagradEps;
}

// A list of layers is a network without a name of its own.
void resolve_network(const std::string& name, ModelConfig& model) {
  if (const ConfigEntry* layers = model.table.find("layers")) {
    if (!model.network.empty() && model.network != kLayersNetwork)
      throw Error("{}: 'model.network' and 'model.layers' exclude each other; give one",
                  layers->where);
    model.network = kLayersNetwork;
  }
  if (!model.network.empty()) return;
  std::vector<std::string> given;
  for (const auto& [key, entry] : model.table.entries()) given.push_back(key);
  const std::string near = nearest_name("network", given);
  if (near.empty())
    throw Error("{}: 'model.network' is missing (or [[model.layers]], a table a layer)", name);
  throw Error("{}: unknown key 'model.{}'; did you mean 'model.network'?",
              model.table.entries().find(near)->second.where, near);
}

Config build(const Entries& entries, const std::string& name) {
  Config config;
  for (const auto& [path, entry] : entries.all()) set_entry(path, entry, config);
  resolve_network(name, config.model);
  resolve_optimizer(entries, config.optimizer);
  check_belonging(entries, config);
  check_reduction(entries, name, config.run);
  check_normalisation(entries, name, config.data);
  check_augmentation(entries, name, config.data);
  check_optimizer(entries, name, config.optimizer);
  check_schedule(entries, name, config.schedule);
  check_clipping(entries, name, config.training);
  check_early_stopping(entries, name, config);
  check_phases(entries, config);
  return config;
}

}  // namespace

bool EarlyStoppingConfig::maximise() const {
  if (mode != StopMode::kAuto) return mode == StopMode::kMax;
  return metric == "accuracy" || metric == "top_k";
}

BestRule best_rule(const Config& config) {
  EarlyStoppingConfig rule = config.training.early_stopping;
  if (rule.patience == 0) rule.metric = config.checkpoint.best;
  return {rule.metric, rule.maximise()};
}

Config load_config(const std::string& file, const std::vector<std::string>& overrides) {
  return parse_config(read_text(file), file, overrides);
}

Config parse_config(std::string_view text, const std::string& name,
                    const std::vector<std::string>& overrides) {
  Entries entries(parse_toml(text, name));
  for (const std::string& override_text : overrides) entries.override_with(override_text);
  return build(entries, name);
}

ScheduleConfig read_schedule(const ConfigTable& table) {
  FlatToml flat;
  for (const auto& [key, entry] : table.items) flat.entries.emplace_back("schedule." + key, entry);
  const Entries entries(std::move(flat));
  Config config;
  for (const auto& [path, entry] : entries.all()) set_entry(path, entry, config);
  check_belonging(entries, config);
  check_schedule(entries, table.where, config.schedule);
  return config.schedule;
}

void require_for_training(const Config& config) {
  if (config.data.file.empty())
    throw Error(
        "'data.file' is missing: name the HDF5 file to train on (lockstep prepare makes one)");
  if (config.training.batch == 0)
    throw Error("'training.batch' is missing: the rows of an update, over all ranks");
  if (config.training.epochs == 0 && config.training.steps == 0 && config.training.phases.empty())
    throw Error(
        "'training.epochs', 'training.steps' or [[training.phases]] is missing: how long to train");
}

}  // namespace lockstep
