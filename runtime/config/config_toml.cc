#include "runtime/config/config_toml.h"

// toml++ 3.3 takes for granted what some texts break ("[/"): with NDEBUG that would be undefined
// behaviour, without it an abort. Here it is an error of the text.
#undef NDEBUG
namespace {
struct BrokenAssumption {};
}  // namespace
#define TOML_ASSERT(condition) ((condition) ? static_cast<void>(0) : throw BrokenAssumption())

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <sstream>

#include "kernels/core/error.h"

namespace lockstep {

namespace {

// `where` of a node, from its line; overrides have one place for all.
struct Places {
  std::string name;
  bool with_line = true;
  std::string of(const toml::node& node) const {
    return with_line ? fmt::format("{}:{}", name, node.source().begin.line) : name;
  }
};

ConfigValue convert_node(const toml::node& node, const std::string& path, const Places& places) {
  if (const auto* value = node.as_boolean()) return {value->get()};
  if (const auto* value = node.as_integer()) return {value->get()};
  if (const auto* value = node.as_floating_point()) return {value->get()};
  if (const auto* value = node.as_string()) return {value->get()};
  if (const auto* array = node.as_array()) {
    ConfigValue::Array elements;
    for (const toml::node& element : *array)
      elements.push_back(convert_node(element, path, places));
    return {std::move(elements)};
  }
  if (const auto* table = node.as_table()) {
    ConfigTable result{{}, places.of(node)};
    for (const auto& [key, value] : *table)  // sorted by key
      result.items.push_back(
          {std::string(key.str()), {convert_node(value, path, places), places.of(value)}});
    return {std::move(result)};
  }
  throw Error("{}: '{}' holds a date or time, which no key takes", places.of(node), path);
}

void flatten(const toml::table& table, const std::string& prefix, const Places& places,
             FlatToml& result) {
  for (const auto& [key, node] : table) {
    const std::string path =
        prefix.empty() ? std::string(key.str()) : fmt::format("{}.{}", prefix, key.str());
    if (const toml::table* inner = node.as_table()) {
      result.tables.emplace_back(path, places.of(node));
      flatten(*inner, path, places, result);
    } else {
      result.entries.emplace_back(path,
                                  ConfigEntry{convert_node(node, path, places), places.of(node)});
    }
  }
}

}  // namespace

FlatToml parse_toml(std::string_view text, const std::string& name) {
  FlatToml result;
  try {
    flatten(toml::parse(text, name), "", Places{name}, result);
  } catch (const toml::parse_error& error) {
    throw Error("{}:{}:{}: {}", name, error.source().begin.line, error.source().begin.column,
                error.description());
  } catch (const BrokenAssumption&) {
    throw Error("{}: no TOML: a key or a table has a name that is none; check what stands in [ ]",
                name);
  }
  return result;
}

FlatToml parse_override(const std::string& key, const std::string& text) {
  const Places places{fmt::format("override {}={}", key, text), false};
  FlatToml result;
  try {
    const toml::table parsed = toml::parse("value = " + text);
    const toml::node* value = parsed.get("value");
    const bool one_value = parsed.size() == 1 && value != nullptr;
    if (one_value && !value->is_date() && !value->is_time() && !value->is_date_time()) {
      if (const toml::table* table = value->as_table())
        flatten(*table, key, places, result);
      else
        result.entries.emplace_back(key,
                                    ConfigEntry{convert_node(*value, key, places), places.name});
      return result;
    }
  } catch (const toml::parse_error&) {
    // Not TOML: paths and names need no quotes on a command line.
  } catch (const BrokenAssumption&) {
    // Nor is this.
  }
  result.entries.emplace_back(key, ConfigEntry{ConfigValue{text}, places.name});
  return result;
}

}  // namespace lockstep
