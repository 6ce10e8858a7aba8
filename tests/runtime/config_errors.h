// The message of a config that does not hold.
#pragma once

#include <string>

#include "runtime/config/config.h"
#include "tests/error_of.h"

namespace lockstep {

inline std::string text_error(const std::string& text) {
  return error_of([&] { parse_config(text, "test.toml"); });
}

}  // namespace lockstep
