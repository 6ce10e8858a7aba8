// What an action that must fail says.
#pragma once

#include <string>

#include "kernels/core/error.h"

namespace lockstep {

// The message of the Error that `action` throws; "" if it throws none.
template <typename Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace lockstep
