#include "models/layer_keys.h"

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

LayerKeys::LayerKeys(const ConfigTable& table, std::span<const LayerKey> known, std::string path,
                     std::int64_t outputs)
    : table_(table), known_(known), path_(std::move(path)), outputs_(outputs) {
  for (const LayerKey& key : known_) {
    if (key.fallback.empty() || key.fallback.front() == '(') continue;
    const std::string name(key.name);
    defaults_.push_back({name, parse_override(name, std::string(key.fallback)).entries[0].second});
  }
}

bool LayerKeys::has(std::string_view key) const {
  return find_item(table_.items, key) != nullptr;
}

const ConfigEntry* LayerKeys::find(std::string_view key) const {
  LOCKSTEP_CHECK(std::ranges::find(known_, key, &LayerKey::name) != known_.end(),
                 "a layer reads the key '{}', which its row does not list", key);
  const ConfigEntry* entry = find_item(table_.items, key);
  return entry != nullptr ? entry : find_item(defaults_, key);
}

const ConfigValue& LayerKeys::value(std::string_view key) const {
  if (const ConfigEntry* entry = find(key)) return entry->value;
  throw Error("{}", message(key, "is missing"));
}

std::string LayerKeys::place(std::string_view key) const {
  const ConfigEntry* entry = find_item(table_.items, key);
  return entry != nullptr ? entry->where : table_.where;
}

std::string LayerKeys::message(std::string_view key, const std::string& text) const {
  return fmt::format("{}: {}.{} {}", place(key), path_, key, text);
}

void LayerKeys::refuse(std::string_view key, const std::string& expected) const {
  throw Error("{}", message(key, fmt::format("must be {}, found {}", expected,
                                             lockstep::describe(value(key)))));
}

template <typename T>
bool LayerKeys::read(std::string_view key, T& result) const {
  return convert(value(key), result);
}

bool LayerKeys::flag(std::string_view key) const {
  bool result = false;
  if (!read(key, result)) refuse(key, "true or false");
  return result;
}

std::int64_t LayerKeys::integer(std::string_view key, std::int64_t minimum) const {
  std::int64_t result = 0;
  if (!read(key, result) || result < minimum) refuse(key, above("an integer", minimum));
  return result;
}

std::pair<std::int64_t, std::int64_t> LayerKeys::pair(std::string_view key,
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

double LayerKeys::number(std::string_view key, double low, double high) const {
  double result = 0;
  if (!read(key, result) || !(result >= low && result <= high))
    refuse(key, fmt::format("a number from {} to {}", low, high));
  return result;
}

double LayerKeys::share(std::string_view key) const {
  double result = 0;
  if (!read(key, result) || !(result >= 0 && result < 1))
    refuse(key, "a number of at least 0 and below 1");
  return result;
}

std::string LayerKeys::text(std::string_view key, const std::vector<std::string>& choices) const {
  std::string result;
  if (!read(key, result) || std::ranges::find(choices, result) == choices.end())
    refuse(key, "one of " + quoted_list(choices));
  return result;
}

}  // namespace lockstep
