// Conversions of a ConfigValue: to the types of fields, to messages, and to TOML text that parses
// back to the same value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/config/config.h"

namespace lockstep {

// False where the value is of another type. An integer serves where a double is expected.
bool convert(const ConfigValue& value, bool& result);
bool convert(const ConfigValue& value, std::int64_t& result);
bool convert(const ConfigValue& value, std::uint64_t& result);  // a negative one wraps
bool convert(const ConfigValue& value, double& result);
bool convert(const ConfigValue& value, std::string& result);
bool convert(const ConfigValue& value, std::vector<std::int64_t>& result);
bool convert(const ConfigValue& value, std::vector<double>& result);
bool convert(const ConfigValue& value, std::vector<std::string>& result);
bool convert(const ConfigValue& value, FileNames& result);  // a string, or an array of strings
bool convert(const ConfigValue& value, ConfigTable& result);
bool convert(const ConfigValue& value, std::vector<ConfigTable>& result);

template <typename T>
ConfigValue to_value(const std::vector<T>& values) {
  ConfigValue::Array array(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) array[i].value = values[i];
  return {std::move(array)};
}
inline ConfigValue to_value(bool value) {
  return {value};
}
inline ConfigValue to_value(std::int64_t value) {
  return {value};
}
inline ConfigValue to_value(std::uint64_t value) {
  return {static_cast<std::int64_t>(value)};
}
inline ConfigValue to_value(double value) {
  return {value};
}
inline ConfigValue to_value(const std::string& value) {
  return {value};
}
inline ConfigValue to_value(const FileNames& files) {
  if (files.empty()) return {std::string()};
  return files.names().size() == 1 ? to_value(files.names().front()) : to_value(files.names());
}

// What messages call a type.
inline std::string_view type_name(bool) {
  return "true or false";
}
inline std::string_view type_name(std::int64_t) {
  return "an integer";
}
inline std::string_view type_name(std::uint64_t) {
  return "an integer";
}
inline std::string_view type_name(double) {
  return "a number";
}
inline std::string_view type_name(const std::string&) {
  return "a string";
}
inline std::string_view type_name(const std::vector<std::int64_t>&) {
  return "an array of integers";
}
inline std::string_view type_name(const std::vector<double>&) {
  return "an array of numbers";
}
inline std::string_view type_name(const std::vector<std::string>&) {
  return "an array of strings";
}
inline std::string_view type_name(const std::vector<ConfigTable>&) {
  return "a list of tables";
}
inline std::string_view type_name(const FileNames&) {
  return "a string or an array of strings";
}

std::string describe(const ConfigValue& value);   // `the string "ten"`, "the integer -3"
std::string toml_text(const ConfigValue& value);  // doubles in the fewest digits that read back
std::string toml_key(std::string_view key);       // quoted where TOML asks for it
bool is_array_of_tables(const ConfigValue& value);

// Nested arrays of numbers as shape and row-major values; throws Error naming `where` and `key`.
InitialValue to_initial_value(const std::string& key, const ConfigEntry& entry);

}  // namespace lockstep
