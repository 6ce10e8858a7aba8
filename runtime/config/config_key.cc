// What a key of the schema does: its checks, the setting of its field, suggestions for typing
// errors.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/core/error.h"
#include "runtime/config/config_schema.h"
#include "runtime/config/config_value.h"

namespace lockstep {

namespace {

void check_numbers(const ConfigKey& key, const ConfigEntry& entry, const ConfigValue& value) {
  if (const auto* array = std::get_if<ConfigValue::Array>(&value.value)) {
    for (const ConfigValue& element : *array) check_numbers(key, entry, element);
    return;
  }
  double number = 0;
  if (!convert(value, number)) return;
  if (!std::isfinite(number))
    throw Error("{}: '{}' must be finite, found {}", entry.where, key.path, toml_text(value));
  if (key.in_range && !key.in_range(number))
    throw Error("{}: '{}' must be {}{}, found {}", entry.where, key.path, key.range,
                key.or_auto ? " or \"auto\"" : "", toml_text(value));
}

}  // namespace

std::string_view ConfigKey::table() const {
  return std::string_view(path).substr(0, path.rfind('.'));
}

std::string_view ConfigKey::name() const {
  return std::string_view(path).substr(path.rfind('.') + 1);
}

ConfigKey& ConfigKey::within(std::string range_text, std::function<bool(double)> check) {
  range = std::move(range_text);
  in_range = std::move(check);
  return *this;
}

ConfigKey& ConfigKey::at_least(double minimum) {
  return within(fmt::format("at least {}", minimum), [minimum](double v) { return v >= minimum; });
}

ConfigKey& ConfigKey::above(double minimum) {
  return within(fmt::format("above {}", minimum), [minimum](double v) { return v > minimum; });
}

ConfigKey& ConfigKey::one_of(std::vector<std::string> names) {
  choices = std::move(names);
  expected = (choices.size() > 1 ? "one of " : "") + quoted_list(choices);
  return *this;
}

ConfigKey& ConfigKey::integer_or_auto() {
  or_auto = true;
  expected = "an integer or \"auto\"";
  return *this;
}

ConfigKey& ConfigKey::optional() {
  unset_is_zero = true;
  return *this;
}

ConfigKey& ConfigKey::only_for(std::vector<std::string> kind_names) {
  kinds = std::move(kind_names);
  return *this;
}

ConfigKey& ConfigKey::instead_of(std::string other) {
  excludes = std::move(other);
  return *this;
}

const ConfigKey* find_key(std::string_view path) {
  for (const ConfigKey& key : config_schema())
    if (key.path == path) return &key;
  return nullptr;
}

bool is_table(std::string_view path) {
  const std::string prefix = std::string(path) + ".";
  return std::ranges::any_of(
      config_schema(), [&prefix](const ConfigKey& key) { return key.path.starts_with(prefix); });
}

bool applies(const ConfigKey& key, const Config& config) {
  if (key.path == "checkpoint.best")
    return config.training.early_stopping.patience == 0 && !config.data.validation.empty();
  if (key.table() == "training.early_stopping") return config.training.early_stopping.patience > 0;
  if (key.kinds.empty()) return true;
  const ConfigKey* kind = find_key(std::string(key.table()) + ".kind");
  LOCKSTEP_CHECK(kind != nullptr, "'{}' belongs to kinds of a table that has none", key.path);
  const std::string chosen = std::get<std::string>(kind->get(config).value);
  return std::ranges::find(key.kinds, chosen) != key.kinds.end();
}

std::optional<ConfigValue> resolved_value(const ConfigKey& key, const Config& config) {
  if (!applies(key, config)) return std::nullopt;
  ConfigValue value = key.get(config);
  const bool zero = value == ConfigValue{std::int64_t{0}};
  if (key.or_auto && zero) return ConfigValue{std::string("auto")};
  const bool unset = zero || value == ConfigValue{ConfigValue::Array{}};
  if (key.unset_is_zero && unset) return std::nullopt;
  return value;
}

void set_key(const ConfigKey& key, const ConfigEntry& entry, Config& config) {
  if (key.or_auto && entry.value == ConfigValue{std::string("auto")}) {
    key.set(config, ConfigValue{std::int64_t{0}});
    return;
  }
  Config scratch;  // tells a wrong type from a wrong value without touching the config
  const bool type_fits = key.set(scratch, entry.value);
  if (type_fits) check_numbers(key, entry, entry.value);
  const auto* text = std::get_if<std::string>(&entry.value.value);
  const bool choice_fits =
      key.choices.empty() ||
      (text != nullptr && std::ranges::find(key.choices, *text) != key.choices.end());
  if (!type_fits || !choice_fits)
    throw Error("{}: '{}' must be {}, found {}", entry.where, key.path, key.expected,
                describe(entry.value));
  key.set(config, entry.value);
}

std::string quoted_list(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names)
    text += (text.empty() ? "" : ", ") + fmt::format("\"{}\"", name);
  return text;
}

std::string suggestion(std::string_view path) {
  std::vector<std::string> paths;
  for (const ConfigKey& key : config_schema()) {
    paths.push_back(key.path);
    paths.emplace_back(key.table());
  }
  std::string nearest = nearest_name(path, paths);
  // The right name in a wrong table, or in none.
  const std::string_view name = path.substr(path.rfind('.') + 1);
  for (const ConfigKey& key : config_schema())
    if (nearest.empty() && key.name() == name) nearest = key.path;
  return nearest.empty() ? "" : fmt::format("; did you mean '{}'?", nearest);
}

}  // namespace lockstep
