#include "runtime/config/table_keys.h"

#include <algorithm>

#include "runtime/config/config_schema.h"
#include "runtime/config/config_toml.h"
#include "runtime/config/config_value.h"

namespace lockstep {

namespace {

const ConfigEntry* find_item(const std::vector<ConfigItem>& items, std::string_view key) {
  const auto found = std::ranges::find(items, key, &ConfigItem::key);
  return found == items.end() ? nullptr : &found->entry;
}

std::string above(std::string_view what, std::int64_t minimum) {
  return fmt::format("{} of at least {}", what, minimum);
}

}  // namespace

TableKeys::TableKeys(const ConfigTable& table, std::span<const TableKey> known, std::string path)
    : table_(table), known_(known), path_(std::move(path)) {
  for (const TableKey& key : known_) {
    if (key.fallback.empty() || key.fallback.front() == '(') continue;
    const std::string name(key.name);
    defaults_.push_back({name, parse_override(name, std::string(key.fallback)).entries[0].second});
  }
}

void TableKeys::check_known(const std::vector<std::string>& shared, const std::string& what) const {
  std::vector<std::string> names = shared;
  for (const TableKey& key : known_) names.emplace_back(key.name);
  for (const auto& [key, entry] : table_.items) {
    if (std::ranges::find(names, key) != names.end()) continue;
    const std::string near = nearest_name(key, names);
    throw Error("{}: unknown key {}.{}{}; {} has {}", entry.where, path_, key,
                near.empty() ? "" : fmt::format(" (did you mean '{}'?)", near), what,
                fmt::join(names, ", "));
  }
}

bool TableKeys::has(std::string_view key) const {
  return find_item(table_.items, key) != nullptr;
}

const ConfigEntry* TableKeys::find(std::string_view key) const {
  LOCKSTEP_CHECK(std::ranges::find(known_, key, &TableKey::name) != known_.end(),
                 "a reader asks for the key '{}', which its kind does not list", key);
  const ConfigEntry* entry = find_item(table_.items, key);
  return entry != nullptr ? entry : find_item(defaults_, key);
}

const ConfigValue& TableKeys::value(std::string_view key) const {
  if (const ConfigEntry* entry = find(key)) return entry->value;
  throw Error("{}", message(key, "is missing"));
}

std::string TableKeys::place(std::string_view key) const {
  const ConfigEntry* entry = find_item(table_.items, key);
  return entry != nullptr ? entry->where : table_.where;
}

std::string TableKeys::message(std::string_view key, const std::string& text) const {
  return fmt::format("{}: {}.{} {}", place(key), path_, key, text);
}

void TableKeys::refuse(std::string_view key, const std::string& expected) const {
  throw Error("{}", message(key, fmt::format("must be {}, found {}", expected,
                                             lockstep::describe(value(key)))));
}

template <typename T>
bool TableKeys::read(std::string_view key, T& result) const {
  return convert(value(key), result);
}

bool TableKeys::flag(std::string_view key) const {
  bool result = false;
  if (!read(key, result)) refuse(key, "true or false");
  return result;
}

std::int64_t TableKeys::integer(std::string_view key, std::int64_t minimum) const {
  std::int64_t result = 0;
  if (!read(key, result) || result < minimum) refuse(key, above("an integer", minimum));
  return result;
}

std::pair<std::int64_t, std::int64_t> TableKeys::pair(std::string_view key,
                                                      std::int64_t minimum) const {
  std::int64_t both = 0;
  std::vector<std::int64_t> two;
  if (read(key, both))
    two = {both, both};
  else if (!read(key, two))
    two.clear();
  if (two.size() != 2 || std::ranges::min(two) < minimum)
    refuse(key, above("an integer", minimum) + ", or two of them: [height, width]");
  return {two[0], two[1]};
}

double TableKeys::number(std::string_view key, double low, double high) const {
  double result = 0;
  if (!read(key, result) || !(result >= low && result <= high))
    refuse(key, fmt::format("a number from {} to {}", low, high));
  return result;
}

std::vector<double> TableKeys::numbers(std::string_view key, double low, double high) const {
  double one = 0;
  std::vector<double> result;
  if (read(key, one))
    result = {one};
  else if (!read(key, result))
    result.clear();
  const auto inside = [&](double value) { return value >= low && value <= high; };
  if (result.empty() || !std::ranges::all_of(result, inside))
    refuse(key, fmt::format("a number from {} to {}, or an array of them", low, high));
  return result;
}

double TableKeys::share(std::string_view key) const {
  double result = 0;
  if (!read(key, result) || !(result >= 0 && result < 1))
    refuse(key, "a number of at least 0 and below 1");
  return result;
}

std::string TableKeys::text(std::string_view key, const std::vector<std::string>& choices) const {
  std::string result;
  if (!read(key, result) || std::ranges::find(choices, result) == choices.end())
    refuse(key, "one of " + quoted_list(choices));
  return result;
}

std::vector<std::string> TableKeys::texts(std::string_view key) const {
  std::string one;
  std::vector<std::string> result;
  if (read(key, one))
    result = {one};
  else if (!read(key, result))
    result.clear();
  if (result.empty() || std::ranges::find(result, "") != result.end())
    refuse(key, "a string or an array of strings, none of them empty");
  return result;
}

}  // namespace lockstep
