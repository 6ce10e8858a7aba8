// Checks of values as they come out of a dataset. Each throws an Error that begins with `where`
// and names the row and, where rows have several elements, the column.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "io/dataset/dataset.h"
#include "kernels/core/shape.h"

namespace lockstep {

// `values` holds one sample of `sample` shape for each of `rows`; finite floats only.
void check_rows_finite(const std::string& where, std::span<const std::int64_t> rows,
                       const Shape& sample, std::span<const float> values);
void check_weights(const std::string& where, std::span<const std::int64_t> rows,
                   std::span<const float> weights);
// 0 <= label, and label < classes where classes is not 0.
void check_labels(const std::string& where, std::span<const std::int64_t> rows,
                  std::int64_t classes, std::span<const std::int64_t> labels);
// `values` holds `columns` targets for each of `rows`; rows whose weight is 0 may break the rule.
// `weights`: one a row, or none. Room is left for what rounding does: 1e-6 beside 0 and 1, 1e-3
// beside a sum of 1.
void check_targets(const std::string& where, std::span<const std::int64_t> rows,
                   std::int64_t columns, TargetRule rule, std::span<const float> values,
                   std::span<const float> weights);

// Whether every row of (n, columns) holds a single 1 and else 0.
bool is_one_hot(std::int64_t columns, std::span<const std::int64_t> matrix);
// The column of each row's single 1.
void one_hot_to_labels(const std::string& where, std::span<const std::int64_t> rows,
                       std::int64_t columns, std::span<const std::int64_t> matrix,
                       std::span<std::int64_t> labels);

}  // namespace lockstep
