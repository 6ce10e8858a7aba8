#include "io/dataset/dataset_checks.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "kernels/core/error.h"

namespace lockstep {

namespace {

// "" for one element a row, "column 3" of a table, "element (2, 5, 0)" of an image.
std::string place_in(const Shape& sample, std::int64_t element) {
  if (sample.elements() == 1) return "";
  if (sample.rank() == 1) return fmt::format(", column {}", element);
  std::vector<std::int64_t> index(static_cast<std::size_t>(sample.rank()));
  for (int axis = sample.rank() - 1; axis >= 0; --axis) {
    index[static_cast<std::size_t>(axis)] = element % sample[axis];
    element /= sample[axis];
  }
  return fmt::format(", element ({})", fmt::join(index, ", "));
}

// Without a branch in the loop, so that it runs as fast as memory; an exponent of all ones is an
// infinity or not a number.
bool all_finite(std::span<const float> values) {
  constexpr std::uint32_t kExponent = 0x7F800000;
  std::uint32_t special = 0;
  for (float value : values)
    special |=
        static_cast<std::uint32_t>((std::bit_cast<std::uint32_t>(value) & kExponent) == kExponent);
  return special == 0;
}

std::int64_t one_hot_label(std::span<const std::int64_t> row) {  // -1: not one-hot
  std::int64_t label = -1;
  for (std::size_t column = 0; column < row.size(); ++column) {
    if (row[column] == 0) continue;
    if (row[column] != 1 || label >= 0) return -1;
    label = static_cast<std::int64_t>(column);
  }
  return label;
}

}  // namespace

void check_rows_finite(const std::string& where, std::span<const std::int64_t> rows,
                       const Shape& sample, std::span<const float> values) {
  if (all_finite(values)) return;
  const auto elements = static_cast<std::size_t>(sample.elements());
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      throw Error("{}: row {}{} holds {}; remove or replace such values", where, rows[i / elements],
                  place_in(sample, static_cast<std::int64_t>(i % elements)),
                  std::isnan(values[i]) ? "NaN" : "an infinity, or more than float32 can hold");
}

void check_weights(const std::string& where, std::span<const std::int64_t> rows,
                   std::span<const float> weights) {
  check_rows_finite(where, rows, Shape{}, weights);
  for (std::size_t i = 0; i < weights.size(); ++i)
    if (weights[i] < 0)
      throw Error("{}: row {} holds the weight {}; weights may not be negative", where, rows[i],
                  weights[i]);
}

void check_labels(const std::string& where, std::span<const std::int64_t> rows,
                  std::int64_t classes, std::span<const std::int64_t> labels) {
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0)
      throw Error("{}: row {} holds the label {}; labels count from 0", where, rows[i], labels[i]);
    if (classes > 0 && labels[i] >= classes)
      throw Error("{}: row {} holds the label {}, but there are {} classes (0 to {})", where,
                  rows[i], labels[i], classes, classes - 1);
  }
}

void check_targets(const std::string& where, std::span<const std::int64_t> rows,
                   std::int64_t columns, TargetRule rule, std::span<const float> values,
                   std::span<const float> weights) {
  if (rule == TargetRule::kAny) return;
  constexpr float kBeside = 1e-6f;
  constexpr double kBesideSum = 1e-3;
  const auto width = static_cast<std::size_t>(columns);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::span<const float> row = values.subspan(i * width, width);
    double sum = 0;
    bool inside = true;
    for (const float value : row) {
      inside &= value >= -kBeside && value <= 1 + kBeside;
      sum += static_cast<double>(value);
    }
    const bool adds_up = rule != TargetRule::kDistributions || std::abs(sum - 1) <= kBesideSum;
    if ((inside && adds_up) || (!weights.empty() && weights[i] == 0)) continue;
    if (inside)
      throw Error(
          "{}: the targets of row {} add up to {:.6g}, but the loss takes the probabilities of a "
          "row's classes, which add up to 1; set loss.kind = \"binary_cross_entropy\" for columns "
          "that are probabilities each for itself, or \"mse\" for values",
          where, rows[i], sum);
    const auto outside = std::ranges::find_if(
        row, [&](float value) { return !(value >= -kBeside && value <= 1 + kBeside); });
    throw Error(
        "{}: row {}{} holds the target {}, but the loss takes probabilities, from 0 to 1; set "
        "loss.kind = \"mse\" for values",
        where, rows[i], place_in(Shape{columns}, outside - row.begin()), *outside);
  }
}

bool is_one_hot(std::int64_t columns, std::span<const std::int64_t> matrix) {
  const auto width = static_cast<std::size_t>(columns);
  for (std::size_t at = 0; at < matrix.size(); at += width)
    if (one_hot_label(matrix.subspan(at, width)) < 0) return false;
  return true;
}

void one_hot_to_labels(const std::string& where, std::span<const std::int64_t> rows,
                       std::int64_t columns, std::span<const std::int64_t> matrix,
                       std::span<std::int64_t> labels) {
  const auto width = static_cast<std::size_t>(columns);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    labels[i] = one_hot_label(matrix.subspan(i * width, width));
    if (labels[i] < 0)
      throw Error(
          "{}: row {} does not hold a single 1, but the first rows are one-hot; store a "
          "matrix of values as floats",
          where, rows[i]);
  }
}

}  // namespace lockstep
