// The one exception type of the project, and checks that print the values they compare.
// Library code throws; only main() ends the job. A message says what, where, and what to do next.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace lockstep {

class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message) : std::runtime_error(message) {}
  template <typename First, typename... Rest>
  Error(fmt::format_string<First, Rest...> format, First&& first, Rest&&... rest)
      : std::runtime_error(
            fmt::format(format, std::forward<First>(first), std::forward<Rest>(rest)...)) {}
  Error(const Error&) = default;
  Error& operator=(const Error&) = default;
  ~Error() override;  // in the core library, and with it the one type that plug-ins throw, too
};

namespace detail {
[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const std::string& message);
}

}  // namespace lockstep

// For conditions that only a mistake in the program can break; bad input gets an Error of its own.
#define LOCKSTEP_CHECK(condition, ...)                                                            \
  do {                                                                                            \
    if (!(condition)) [[unlikely]]                                                                \
      ::lockstep::detail::check_failed(__FILE__, __LINE__, #condition, fmt::format(__VA_ARGS__)); \
  } while (false)
