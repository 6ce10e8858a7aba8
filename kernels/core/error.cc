#include "kernels/core/error.h"

namespace lockstep {

Error::~Error() = default;

namespace detail {

void check_failed(const char* file, int line, const char* condition, const std::string& message) {
  throw Error("{}:{}: check '{}' failed: {}", file, line, condition, message);
}

}  // namespace detail

}  // namespace lockstep
