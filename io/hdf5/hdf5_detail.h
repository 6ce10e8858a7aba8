// What the two source files of the HDF5 wrapper share: the lock, the library's error text, handles.
#pragma once

#include <hdf5.h>

#include <mutex>
#include <string>

#include "io/hdf5/hdf5.h"
#include "kernels/core/error.h"

namespace lockstep::hdf5::detail {

// Held during every call into the library. It also switches the library's own printing of errors
// off, which the library keeps a setting of each thread.
class Session {
 public:
  Session();

 private:
  std::lock_guard<std::recursive_mutex> lock_;
};

// The innermost message of the library's error stack, which says what really went wrong.
std::string library_error();

// The result of a call, which is negative on failure.
template <typename Result>
Result check(Result result, const std::string& where, const char* action) {
  if (result < 0) throw Error("{}: cannot {}: {}", where, action, library_error());
  return result;
}

// Owns a new id; throws if the call that made it failed.
Handle own(hid_t id, const std::string& where, const char* action);

hid_t memory_type(DType type);

}  // namespace lockstep::hdf5::detail
