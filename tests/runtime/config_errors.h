// The message of a config that does not hold.
#pragma once

#include <functional>
#include <string>

#include "kernels/core/error.h"
#include "runtime/config/config.h"

namespace lockstep {

inline std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

inline std::string text_error(const std::string& text) {
  return message_of([&] { parse_config(text, "test.toml"); });
}

}  // namespace lockstep
