// Rows made by a rule: what the kinds of synthetic data share.
#pragma once

#include <functional>
#include <string>

#include "io/prepare/prepare.h"

namespace lockstep {

// `fill` writes row `row` and nothing else, so rows can be made in any order, any number at a time.
// Of y one element: class labels are int64, values of regression float32.
struct SyntheticRows {
  std::string kind{};     // "moons", for the file's source
  std::string details{};  // "noise 0.2"
  std::int64_t rows = 0;
  Shape sample{};
  DType x_type = DType::kFloat32;
  std::vector<std::string> classes{};  // empty: regression
  std::vector<double> truth{};         // what a fit should find; empty: nothing of that kind
  bool standardize = true;             // false: mean 0, deviation 1 are recorded
  std::function<void(std::int64_t row, std::byte* x, std::byte* y)> fill{};
};

void write_synthetic(const SyntheticRows& data, const PrepareOptions& common);

// Throws an Error that names the option unless least <= value.
void check_at_least(const std::string& option, std::int64_t value, std::int64_t least);
void check_noise(double noise, double most);  // 0 <= noise <= most

std::vector<std::string> numbered(const std::string& prefix, std::int64_t count);
// Place k of `count` on [from, to], both ends included; `from` where there is one place alone.
double evenly(double from, double to, std::int64_t k, std::int64_t count);

}  // namespace lockstep
