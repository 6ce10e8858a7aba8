#include "runtime/config/config_value.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "kernels/core/error.h"

namespace lockstep {

namespace {

template <typename T>
bool convert_array(const ConfigValue& value, std::vector<T>& result) {
  const auto* array = std::get_if<ConfigValue::Array>(&value.value);
  if (array == nullptr) return false;
  std::vector<T> elements;
  for (const ConfigValue& element : *array) {
    T converted{};
    if (!convert(element, converted)) return false;
    elements.push_back(std::move(converted));
  }
  result = std::move(elements);
  return true;
}

template <typename T>
bool convert_exactly(const ConfigValue& value, T& result) {
  const T* found = std::get_if<T>(&value.value);
  if (found != nullptr) result = *found;
  return found != nullptr;
}

std::string toml_text(bool value) {
  return value ? "true" : "false";
}

std::string toml_text(std::int64_t value) {
  return fmt::format("{}", value);
}

std::string toml_text(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".en") == std::string::npos) text += ".0";  // n: nan and inf
  return text;
}

std::string toml_text(const std::string& value) {
  std::string text = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      text += '\\';
      text += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      text += fmt::format("\\u{:04X}", static_cast<int>(c));
    } else {
      text += c;
    }
  }
  return text + '"';
}

std::string toml_text(const ConfigValue::Array& array) {
  std::string text = "[";
  for (const ConfigValue& element : array) {
    if (text.size() > 1) text += ", ";
    text += toml_text(element);
  }
  return text + "]";
}

std::string toml_text(const ConfigTable& table) {
  std::string text = "{";
  for (const ConfigItem& item : table.items) {
    text += text.size() > 1 ? ", " : " ";
    text += fmt::format("{} = {}", toml_key(item.key), toml_text(item.entry.value));
  }
  return text + (text.size() > 1 ? " }" : "}");
}

void flatten(const std::string& key, const std::string& where, const ConfigValue& value,
             std::size_t depth, InitialValue& result) {
  const auto* array = std::get_if<ConfigValue::Array>(&value.value);
  const bool leaf = array == nullptr;
  const auto length = leaf ? 0 : static_cast<std::int64_t>(array->size());
  const bool first_visit = result.values.empty() && depth == result.shape.size();
  if (first_visit && !leaf) result.shape.push_back(length);
  const bool fits = leaf ? depth == result.shape.size()
                         : depth < result.shape.size() && result.shape[depth] == length;
  if (!fits) throw Error("{}: the rows of '{}' differ in length or depth", where, key);
  if (!leaf) {
    if (length == 0) throw Error("{}: '{}' holds an empty array", where, key);
    for (const ConfigValue& element : *array) flatten(key, where, element, depth + 1, result);
    return;
  }
  double number = 0;
  if (!convert(value, number) || !std::isfinite(number))
    throw Error("{}: '{}' must hold finite numbers, found {}", where, key, describe(value));
  result.values.push_back(number);
}

}  // namespace

bool operator==(const ConfigValue& a, const ConfigValue& b) {
  return a.value == b.value;
}

static bool operator==(const ConfigItem& a, const ConfigItem& b) {
  return a.key == b.key && a.entry.value == b.entry.value;
}
bool operator==(const ConfigTable& a, const ConfigTable& b) {
  return a.items == b.items;
}

bool is_array_of_tables(const ConfigValue& value) {
  const auto* array = std::get_if<ConfigValue::Array>(&value.value);
  return array != nullptr && !array->empty() &&
         std::holds_alternative<ConfigTable>(array->front().value);
}

bool convert(const ConfigValue& value, bool& result) {
  return convert_exactly(value, result);
}
bool convert(const ConfigValue& value, std::int64_t& result) {
  return convert_exactly(value, result);
}
bool convert(const ConfigValue& value, std::string& result) {
  return convert_exactly(value, result);
}

bool convert(const ConfigValue& value, std::uint64_t& result) {
  const auto* integer = std::get_if<std::int64_t>(&value.value);
  if (integer == nullptr) return false;
  result = static_cast<std::uint64_t>(*integer);
  return true;
}

bool convert(const ConfigValue& value, double& result) {
  if (const auto* integer = std::get_if<std::int64_t>(&value.value)) {
    result = static_cast<double>(*integer);
    return true;
  }
  return convert_exactly(value, result);
}

bool convert(const ConfigValue& value, std::vector<std::int64_t>& result) {
  return convert_array(value, result);
}
bool convert(const ConfigValue& value, std::vector<double>& result) {
  return convert_array(value, result);
}
bool convert(const ConfigValue& value, std::vector<std::string>& result) {
  return convert_array(value, result);
}
bool convert(const ConfigValue& value, ConfigTable& result) {
  return convert_exactly(value, result);
}
bool convert(const ConfigValue& value, std::vector<ConfigTable>& result) {
  return convert_array(value, result);
}
bool convert(const ConfigValue& value, FileNames& result) {
  std::vector<std::string> names;
  if (const auto* name = std::get_if<std::string>(&value.value))
    result = *name;
  else if (convert(value, names))
    result = std::move(names);
  else
    return false;
  return true;
}

std::string describe(const ConfigValue& value) {
  switch (value.value.index()) {
    case 0:
      return toml_text(value);
    case 1:
      return "the integer " + toml_text(value);
    case 2:
      return "the number " + toml_text(value);
    case 3:
      return "the string " + toml_text(value);
    case 4:
      return "the array " + toml_text(value);
    default:
      return "the table " + toml_text(value);
  }
}

std::string toml_text(const ConfigValue& value) {
  return std::visit([](const auto& held) { return toml_text(held); }, value.value);
}

std::string toml_key(std::string_view key) {
  bool bare = !key.empty();
  for (const char c : key)
    bare = bare && (('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') || ('0' <= c && c <= '9') ||
                    c == '_' || c == '-');
  return bare ? std::string(key) : toml_text(std::string(key));
}

InitialValue to_initial_value(const std::string& key, const ConfigEntry& entry) {
  InitialValue result;
  result.where = entry.where;
  flatten(key, entry.where, entry.value, 0, result);
  return result;
}

}  // namespace lockstep
