// RowSource: where the rows of a dataset that is being written come from. They are made, read or
// copied when asked for, some at a time, so that what is written need not fit into memory.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/dataset/dataset.h"

namespace lockstep {

struct RowLayout {
  std::int64_t rows = 0;
  Shape sample{};  // of x, without rows
  DType x_type = DType::kFloat32;
  TargetKind target = TargetKind::kNone;
  std::int64_t target_columns = 1;
  bool weight = false;

  Shape y_shape(std::int64_t count) const;
  DType y_type() const;
  std::size_t x_bytes() const;    // of one row
  std::size_t row_bytes() const;  // of one row of x, y and weight
};
RowLayout layout_of(const Dataset& dataset);

// Memory for up to `capacity` rows.
struct RowBlock {
  RowBlock(const RowLayout& layout, std::int64_t capacity);
  // Rows of it, in the same memory.
  RowBlock slice(std::int64_t begin, std::int64_t end) const;
  RowBlock head(std::int64_t rows) const { return slice(0, rows); }

  Tensor x, y, weight;  // y, weight undefined where the layout has none

 private:
  RowBlock() = default;
};

class RowSource {
 public:
  virtual ~RowSource() = default;
  virtual const RowLayout& layout() const = 0;
  // The given rows, in the given order, checked as Dataset::read checks them; `to` holds as many.
  virtual void read(std::span<const std::int64_t> rows, const RowBlock& to) = 0;
  // The labels of all rows, for stratified splitting; empty where y are no classes.
  virtual std::vector<std::int64_t> labels();
  // What the given rows are called, as the files they came from; empty where they have no names.
  virtual std::vector<std::string> names(std::span<const std::int64_t> rows);
  // Whether rows in file order are read faster in large blocks, as those of chunks are that would
  // otherwise be decoded again and again.
  virtual bool gains_by_large_blocks() const { return false; }
};

// Rows that are in memory; weight may be undefined.
std::shared_ptr<RowSource> rows_in_memory(const Tensor& x, const Tensor& y, const Tensor& weight);
// `names`: of its rows, or empty.
std::shared_ptr<RowSource> rows_of(std::shared_ptr<const Dataset> dataset,
                                   std::vector<std::string> names = {});

// Calls visit(rows) for [0, rows) in ascending pieces of at most `most`.
template <typename Visit>
void for_each_rows(std::int64_t rows, std::int64_t most, const Visit& visit) {
  std::vector<std::int64_t> block;
  for (std::int64_t begin = 0; begin < rows; begin += most) {
    block.resize(static_cast<std::size_t>(most < rows - begin ? most : rows - begin));
    for (std::size_t i = 0; i < block.size(); ++i) block[i] = begin + static_cast<std::int64_t>(i);
    visit(std::span<const std::int64_t>(block));
  }
}

}  // namespace lockstep
