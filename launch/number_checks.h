// Checks of numbers on the command line. Those of CLI11 itself print a double's whole range, in 300
// digits, when they fail.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace lockstep {

inline CLI::Validator number_check(const std::string& name, const std::string& what,
                                   bool (*fits)(double)) {
  const auto check = [what, fits](std::string& text) {
    double number = 0;
    if (CLI::detail::lexical_cast(text, number) && fits(number)) return std::string();
    return "'" + text + "' is not a number " + what;
  };
  return {check, name};
}

inline const CLI::Validator kPositive =
    number_check("POSITIVE", "above 0", [](double number) { return number > 0; });
inline const CLI::Validator kNotNegative =
    number_check("NONNEGATIVE", "of 0 or more", [](double number) { return number >= 0; });

}  // namespace lockstep
