// Keys of [model] as a test's config has them.
#pragma once

#include <map>
#include <string>

#include "models/zoo.h"

namespace lockstep {

inline ModelTable keys_from(const std::map<std::string, ConfigValue>& values) {
  ModelTable table;
  for (const auto& [key, value] : values) table.set(key, {value, "test.toml:7"});
  return table;
}

inline ConfigValue widths(const std::vector<std::int64_t>& numbers) {
  ConfigValue::Array array;
  for (const std::int64_t number : numbers) array.push_back({number});
  return {array};
}

}  // namespace lockstep
