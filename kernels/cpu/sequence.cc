// Embedding tables, the exchange of the first two axes, a row added to all rows, and the mean over
// the tokens that are no padding.
#include <algorithm>
#include <cstring>

#include "kernels/cpu/backend_impl.h"
#include "kernels/cpu/checks.h"
#include "kernels/cpu/gemm_kernels.h"
#include "kernels/cpu/vector_kernels.h"

namespace lockstep {

namespace {

// Rows of a table whose rows are as wide as those of y, the tensor of tokens (ids..., C).
std::int64_t table_rows(const Tensor& ids, const Tensor& y, const char* name, const Tensor& table) {
  cpu::check_type(ids, DType::kInt64, "ids");
  cpu::check_type(y, DType::kFloat32, name);
  cpu::check_type(table, DType::kFloat32, "table");
  const std::int64_t width = y.shape().back();
  LOCKSTEP_CHECK(width > 0 && y.elements() == ids.elements() * width, "{} is {} for ids of {}",
                 name, y.shape().to_string(), ids.shape().to_string());
  LOCKSTEP_CHECK(table.elements() % width == 0, "a table of {} elements for rows of {}",
                 table.elements(), width);
  return table.elements() / width;
}

void check_mean(const Tensor& ids, const Tensor& tokens, const char* tokens_name,
                const Tensor& mean, const char* mean_name) {
  LOCKSTEP_CHECK(tokens.defined() && tokens.shape().rank() == 3, "{} is {}, not (N, T, C)",
                 tokens_name, tokens.shape().to_string());
  const Shape& shape = tokens.shape();
  cpu::check_shape(tokens, shape, tokens_name);
  cpu::check_shape(ids, {shape[0], shape[1]}, "ids", DType::kInt64);
  cpu::check_shape(mean, {shape[0], shape[2]}, mean_name);
}

// 1 / the tokens of a sample that count; 0 where none does.
float share_of_token(const std::int64_t* ids, std::int64_t tokens, std::int64_t padding) {
  const std::int64_t counted = tokens - std::count(ids, ids + tokens, padding);
  return counted > 0 ? 1.0f / static_cast<float>(counted) : 0.0f;
}

}  // namespace

void CpuBackend::embedding_forward(Stream&, const Tensor& sample_ids, const Tensor& ids,
                                   const Tensor& table, Tensor& y) {
  const std::int64_t rows = table_rows(ids, y, "y", table), width = y.shape().back();
  cpu::check_count(sample_ids, ids.rows(), "sample_ids", DType::kInt64);
  const std::int64_t* const id = ids.data<std::int64_t>();
  const float* const from = table.data<float>();
  float* const to = y.data<float>();
  for (std::int64_t i = 0; i < ids.elements(); ++i) {
    if (id[i] < 0 || id[i] >= rows) [[unlikely]] {
      const std::int64_t length = ids.elements() / ids.rows();
      throw Error(
          "sample {} of the split holds the id {} at position {}, but the embedding's table has {} "
          "rows, 0 to {}: give it more rows or mend the data",
          sample_ids.data<std::int64_t>()[i / length], id[i], i % length, rows, rows - 1);
    }
    std::memcpy(to + i * width, from + id[i] * width,
                static_cast<std::size_t>(width) * sizeof(float));
  }
}

void CpuBackend::embedding_backward(Stream&, std::int64_t padding, const Tensor& ids,
                                    const Tensor& dy, Tensor& dtable) {
  const std::int64_t rows = table_rows(ids, dy, "dy", dtable), width = dy.shape().back();
  const std::int64_t* const id = ids.data<std::int64_t>();
  const float* const from = dy.data<float>();
  float* const to = dtable.data<float>();
  vector_.elementwise.fill(0.0f, to, dtable.elements());
  for (std::int64_t i = 0; i < ids.elements(); ++i) {
    LOCKSTEP_CHECK(id[i] >= 0 && id[i] < rows, "id {} of a table of {} rows", id[i], rows);
    if (id[i] == padding) continue;
    float* const sum = to + id[i] * width;
    vector_.elementwise.add(sum, from + i * width, sum, width);
  }
}

void CpuBackend::swap_rows(Stream&, const Tensor& x, Tensor& y) {
  LOCKSTEP_CHECK(x.defined() && x.shape().rank() >= 2, "x is {}, with no two axes to swap",
                 x.shape().to_string());
  const std::int64_t outer = x.shape()[0], inner = x.shape()[1];
  cpu::check_shape(y, x.shape().without_rows().without_rows().with_rows(outer).with_rows(inner),
                   "y", x.dtype());
  if (x.elements() == 0) return;
  const std::size_t length = x.bytes() / static_cast<std::size_t>(outer * inner);
  for (std::int64_t b = 0; b < inner; ++b) {
    for (std::int64_t a = 0; a < outer; ++a) {
      std::memcpy(y.raw() + static_cast<std::size_t>(b * outer + a) * length,
                  x.raw() + static_cast<std::size_t>(a * inner + b) * length, length);
    }
  }
}

void CpuBackend::add_row(Stream&, const Tensor& x, const Tensor& row, Tensor& y) {
  cpu::check_type(x, DType::kFloat32, "x");
  cpu::check_shape(y, x.shape(), "y");
  const std::int64_t length = x.shape().without_rows().elements();
  cpu::check_count(row, length, "row");
  for (std::int64_t n = 0; n < x.rows(); ++n) {
    vector_.elementwise.add(x.data<float>() + n * length, row.data<float>(),
                            y.data<float>() + n * length, length);
  }
}

void CpuBackend::sum_rows(Stream&, const Tensor& x, Tensor& row) {
  cpu::check_type(x, DType::kFloat32, "x");
  const std::int64_t length = x.shape().without_rows().elements();
  cpu::check_count(row, length, "row");
  gemm_.column_sums(x.data<float>(), x.rows(), length, false, row.data<float>());
}

void CpuBackend::mean_tokens_forward(Stream&, std::int64_t padding, const Tensor& ids,
                                     const Tensor& x, Tensor& y) {
  check_mean(ids, x, "x", y, "y");
  const std::int64_t tokens = x.shape()[1], width = x.shape()[2];
  const std::int64_t* id = ids.data<std::int64_t>();
  const float* token = x.data<float>();
  float* mean = y.data<float>();
  for (std::int64_t n = 0; n < x.rows(); ++n, id += tokens, mean += width) {
    vector_.elementwise.fill(0.0f, mean, width);
    for (std::int64_t t = 0; t < tokens; ++t, token += width)
      if (id[t] != padding) vector_.elementwise.add(mean, token, mean, width);
    vector_.elementwise.scale(share_of_token(id, tokens, padding), mean, width);
  }
}

void CpuBackend::mean_tokens_backward(Stream&, std::int64_t padding, const Tensor& ids,
                                      const Tensor& dy, Tensor& dx) {
  check_mean(ids, dx, "dx", dy, "dy");
  const std::int64_t tokens = dx.shape()[1], width = dx.shape()[2];
  const std::int64_t* id = ids.data<std::int64_t>();
  const float* mean = dy.data<float>();
  float* token = dx.data<float>();
  for (std::int64_t n = 0; n < dx.rows(); ++n, id += tokens, mean += width) {
    const float share = share_of_token(id, tokens, padding);
    for (std::int64_t t = 0; t < tokens; ++t, token += width) {
      vector_.elementwise.fill(0.0f, token, width);
      if (id[t] == padding) continue;
      vector_.elementwise.add(token, mean, token, width);
      vector_.elementwise.scale(share, token, width);
    }
  }
}

}  // namespace lockstep
