// The steps that every kind shares: cutting into parts, writing.
#include "io/prepare/prepare.h"

#include <cstring>
#include <utility>

namespace lockstep {

namespace {

Tensor take_rows(const Tensor& from, std::span<const std::int64_t> rows) {
  const Shape row_shape = from.shape().without_rows();
  const Tensor to =
      host_tensor(row_shape.with_rows(static_cast<std::int64_t>(rows.size())), from.dtype());
  const std::size_t bytes = static_cast<std::size_t>(row_shape.elements()) * size_of(from.dtype());
  for (std::size_t i = 0; i < rows.size(); ++i)
    std::memcpy(to.raw() + i * bytes, from.raw() + static_cast<std::size_t>(rows[i]) * bytes,
                bytes);
  return to;
}

SplitData take_rows(const SplitData& from, std::span<const std::int64_t> rows) {
  return {take_rows(from.x, rows), take_rows(from.y, rows),
          from.weight.defined() ? take_rows(from.weight, rows) : Tensor()};
}

}  // namespace

Split plan_split(const Tensor& y, const PrepareOptions& common) {
  std::span<const std::int64_t> labels;
  if (y.dtype() == DType::kInt64) labels = y.span<std::int64_t>();
  return split_rows(y.rows(), labels, common.validation, common.test.value_or(Portion{}),
                    common.seed);
}

void write_parts(const SplitData& all, const Split& split, const PrepareOptions& common,
                 DatasetContents contents, SplitData test) {
  if (test.rows() > 0 && common.test)
    throw Error("the source has a test part of its own ({} rows); leave out --test", test.rows());
  const bool whole = split.validation.empty() && split.test.empty();
  contents.train = whole ? all : take_rows(all, split.train);
  if (!split.validation.empty()) contents.validation = take_rows(all, split.validation);
  if (!split.test.empty()) contents.test = take_rows(all, split.test);
  if (test.rows() > 0) contents.test = std::move(test);
  write_dataset(common.output, common.force, std::move(contents));
}

}  // namespace lockstep
