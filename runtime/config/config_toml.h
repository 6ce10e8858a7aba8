// TOML text as a flat list of entries; the one place that knows the parser.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/config/config.h"

namespace lockstep {

struct FlatToml {
  std::vector<std::pair<std::string, ConfigEntry>> entries;  // "optimizer.lr", in order of the file
  std::vector<std::pair<std::string, std::string>> tables;   // path and place, empty ones too
};

// Throws Error "<name>:<line>:<column>: ..." on a syntax error, and on dates.
FlatToml parse_toml(std::string_view text, const std::string& name);
// The right side of an override: TOML, or else the text itself as a string. An inline table gives
// several entries below `key`.
FlatToml parse_override(const std::string& key, const std::string& text);

}  // namespace lockstep
