// Cutting rows into training, validation and test parts: a pure function of the seed, stratified
// where rows have classes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lockstep {

// A part of the rows, as a fraction of all ("0.2") or as a count ("500").
struct Portion {
  double fraction = 0;
  std::int64_t count = 0;  // used where fraction is 0

  static Portion parse(const std::string& text, const std::string& name);  // throws, naming `name`
  static Portion of_fraction(double fraction) { return {fraction, 0}; }
  static Portion of_count(std::int64_t count) { return {0, count}; }
  std::int64_t of(std::int64_t rows) const;  // rounded to the nearest
};

struct Split {
  std::vector<std::int64_t> train, validation, test;  // rows in file order
};

// `labels` (one a row, from 0) makes each part hold the classes in their shares of the whole, to
// within one row; a class keeps a row to train on where another can give one up for it. Empty: no
// strata. Throws if nothing is left to train on.
Split split_rows(std::int64_t rows, std::span<const std::int64_t> labels, Portion validation,
                 Portion test, std::uint64_t seed);

std::vector<std::int64_t> ascending_rows(std::int64_t rows);  // 0, 1, 2, ...
// The rows [0, rows) in an order that is a pure function of the seed.
std::vector<std::int64_t> shuffled_rows(std::int64_t rows, std::uint64_t seed);

}  // namespace lockstep
