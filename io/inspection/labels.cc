#include "io/inspection/labels.h"

#include <algorithm>

#include "io/dataset/dataset_checks.h"
#include "io/dataset/row_source.h"

namespace lockstep {

namespace {

constexpr std::int64_t kBlockRows = 1 << 16;

std::int64_t label_in(const Tensor& x, std::int64_t row, std::int64_t column) {
  const std::int64_t place = row * x.shape().back() + column;
  switch (x.dtype()) {
    case DType::kUInt8:
      return x.data<std::uint8_t>()[place];
    case DType::kInt64:
      return x.data<std::int64_t>()[place];
    default:
      return static_cast<std::int64_t>(x.data<float>()[place]);
  }
}

}  // namespace

std::vector<std::int64_t> labels_of(const DataSource& source, const Dataset& dataset) {
  // y read in the place of x: integers of any width, small ones as float32, which holds them all.
  DataSource only_y = source;
  only_y.x = source.y;
  only_y.y = only_y.weight = "";
  const std::unique_ptr<Dataset> y = Dataset::open(only_y);
  const std::int64_t columns = y->sample_shape().elements();
  std::vector<std::int64_t> labels;
  labels.reserve(static_cast<std::size_t>(y->rows()));
  const RowBlock block(layout_of(*y), std::min(kBlockRows, y->rows()));
  for_each_rows(y->rows(), kBlockRows, [&](std::span<const std::int64_t> rows) {
    RowBlock values = block.head(static_cast<std::int64_t>(rows.size()));
    y->read(rows, values.x, values.y, values.weight);
    std::vector<std::int64_t> matrix, found(rows.size());
    for (std::int64_t row = 0; row < values.x.rows(); ++row)
      for (std::int64_t column = 0; column < columns; ++column)
        matrix.push_back(label_in(values.x, row, column));
    if (columns == 1)
      found = std::move(matrix);
    else
      one_hot_to_labels(source.y, rows, columns, matrix, found);
    check_labels(source.y, rows, static_cast<std::int64_t>(dataset.info().classes.size()), found);
    labels.insert(labels.end(), found.begin(), found.end());
  });
  return labels;
}

}  // namespace lockstep
