// Data whose target follows from x by a rule: linear, quadratic, bit patterns.
#include <cmath>

#include "io/prepare/synthetic.h"
#include "io/prepare/synthetic_random.h"
#include "io/prepare/synthetic_rows.h"

namespace lockstep {
namespace {

constexpr double kLargestNoise = 1e6;

void put_label(std::byte* y, std::int64_t label) {
  *reinterpret_cast<std::int64_t*>(y) = label;
}
void put_value(std::byte* y, double value) {
  *reinterpret_cast<float*>(y) = static_cast<float>(value);
}

void check_numbers(const std::string& option, std::span<const double> values, std::size_t count) {
  if (values.size() != count)
    throw Error("{}: {} numbers, where {} are needed", option, values.size(), count);
  for (const double value : values)
    if (!std::isfinite(value)) throw Error("{}: {} is not finite", option, value);
}

}  // namespace

void prepare_linear(const LinearDataOptions& options, const PrepareOptions& common) {
  check_at_least("--rows", options.rows, 1);
  check_at_least("--features", options.features, 1);
  check_noise(options.noise, kLargestNoise);
  const Draws input(common.seed, SyntheticStream::kInput),
      rule(common.seed, SyntheticStream::kRule), noise(common.seed, SyntheticStream::kNoise);
  SyntheticRows data{.kind = "linear",
                     .details = fmt::format("noise {}", options.noise),
                     .rows = options.rows,
                     .sample = {options.features},
                     .standardize = false};
  if (!options.regression) data.classes = {"-1", "+1"};
  for (std::int64_t i = 0; i < options.features; ++i) data.truth.push_back(rule.normal(0, i));
  data.fill = [=, weights = data.truth](std::int64_t row, std::byte* x, std::byte* y) {
    double sum = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const auto value = static_cast<float>(input.normal(row, static_cast<std::int64_t>(i)));
      reinterpret_cast<float*>(x)[i] = value;
      sum += static_cast<double>(value) * weights[i];
    }
    sum += options.noise * noise.normal(row, 0);
    if (options.regression)
      put_value(y, sum);
    else
      put_label(y, sum > 0 ? 1 : 0);
  };
  write_synthetic(data, common);
}

void prepare_quadratic(const QuadraticDataOptions& options, const PrepareOptions& common) {
  check_at_least("--rows", options.rows, 1);
  check_noise(options.noise, kLargestNoise);
  check_numbers("--coefficients", options.coefficients, 3);
  check_numbers("--range", options.range, 2);
  const Draws noise(common.seed, SyntheticStream::kNoise);
  SyntheticRows data{.kind = "quadratic",
                     .details = fmt::format("noise {}", options.noise),
                     .rows = options.rows,
                     .sample = {1},
                     .truth = options.coefficients,
                     .standardize = false};
  data.fill = [=](std::int64_t row, std::byte* x, std::byte* y) {
    const auto at =
        static_cast<float>(evenly(options.range[0], options.range[1], row, options.rows));
    const std::vector<double>& k = options.coefficients;
    *reinterpret_cast<float*>(x) = at;
    put_value(y, (k[0] * at + k[1]) * at + k[2] + options.noise * noise.normal(row, 0));
  };
  write_synthetic(data, common);
}

void prepare_bit_patterns(const BitPatternsOptions& options, const PrepareOptions& common) {
  check_at_least("--rows", options.rows, 2);
  check_at_least("--bits", options.bits, 2);
  check_noise(options.noise, 1);
  const bool changes = options.representation == BitPatternsOptions::Representation::kChanges;
  const Draws input(common.seed, SyntheticStream::kInput),
      turned(common.seed, SyntheticStream::kLabelNoise);
  SyntheticRows data{.kind = "bit-patterns",
                     .details = fmt::format("{} as {}, noise {}", options.bits,
                                            changes ? "changes" : "bits", options.noise),
                     .rows = options.rows,
                     .sample = {options.bits},
                     .classes = {"BAD", "GOOD"},
                     .standardize = false};
  data.fill = [=](std::int64_t row, std::byte* x, std::byte* y) {
    const double likely = row % 2 == 0 ? 0.25 : 0.75;
    auto* const values = reinterpret_cast<float*>(x);
    bool bit = input.uniform(row, 0) < 0.5;
    values[0] = bit ? 1 : 0;
    std::int64_t changed = 0;
    for (std::int64_t i = 1; i < options.bits; ++i) {
      const bool change = input.uniform(row, i) < likely;
      bit = bit != change;
      changed += change ? 1 : 0;
      values[i] = (changes ? change : bit) ? 1 : 0;
    }
    const bool good = 2 * changed < options.bits - 1;
    put_label(y, good != (turned.uniform(row, 0) < options.noise) ? 1 : 0);
  };
  write_synthetic(data, common);
}

}  // namespace lockstep
