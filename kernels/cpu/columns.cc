// Maxout, and columns of one tensor as another, on the CPU back end.
#include <cstring>

#include "kernels/cpu/backend_impl.h"
#include "kernels/cpu/checks.h"
#include "kernels/cpu/vector_kernels.h"

namespace lockstep {

namespace {

struct Columns {
  std::int64_t rows, narrow, wide;  // wide, narrow: elements a row
};

Columns check_columns(std::int64_t first, const Tensor& narrow, const Tensor& wide) {
  cpu::check_type(narrow, DType::kFloat32, "the narrow tensor");
  cpu::check_type(wide, DType::kFloat32, "the wide tensor");
  const std::int64_t c = narrow.shape().back(), all = wide.shape().back();
  LOCKSTEP_CHECK(c > 0 && first >= 0 && first + c <= all, "columns [{}, {}) of {}", first,
                 first + c, wide.shape().to_string());
  const std::int64_t rows = narrow.elements() / c;
  LOCKSTEP_CHECK(wide.elements() == rows * all, "the wide tensor is {}, the narrow one {}",
                 wide.shape().to_string(), narrow.shape().to_string());
  return {rows, c, all};
}

// The number of channels that are left of x's.
std::int64_t check_maxout(std::int64_t pieces, const Tensor& x, const Tensor& y,
                          const Tensor& piece) {
  LOCKSTEP_CHECK(pieces >= 1 && pieces <= 255, "maxout of {} pieces; 1 to 255 are possible",
                 pieces);
  cpu::check_type(x, DType::kFloat32, "x");
  cpu::check_type(y, DType::kFloat32, "y");
  const std::int64_t channels = y.shape().back();
  LOCKSTEP_CHECK(channels > 0 && x.shape().back() == pieces * channels &&
                     x.elements() == pieces * y.elements(),
                 "maxout of {} pieces from {} to {}", pieces, x.shape().to_string(),
                 y.shape().to_string());
  cpu::check_shape(piece, y.shape(), "piece", DType::kUInt8);
  return channels;
}

}  // namespace

void CpuBackend::maxout_forward(Stream&, std::int64_t pieces, const Tensor& x, Tensor& y,
                                Tensor& piece) {
  const std::int64_t channels = check_maxout(pieces, x, y, piece);
  vector_.maxout.forward(x.data<float>(), y.elements() / channels, pieces, channels,
                         y.data<float>(), piece.data<std::uint8_t>());
}

void CpuBackend::maxout_backward(Stream&, std::int64_t pieces, const Tensor& dy,
                                 const Tensor& piece, Tensor& dx) {
  const std::int64_t channels = check_maxout(pieces, dx, dy, piece);
  vector_.maxout.backward(dy.data<float>(), piece.data<std::uint8_t>(), dy.elements() / channels,
                          pieces, channels, dx.data<float>());
}

void CpuBackend::write_columns(Stream&, std::int64_t first, const Tensor& narrow, Tensor& wide) {
  const Columns columns = check_columns(first, narrow, wide);
  const std::size_t bytes = static_cast<std::size_t>(columns.narrow) * sizeof(float);
  for (std::int64_t row = 0; row < columns.rows; ++row)
    std::memcpy(wide.data<float>() + row * columns.wide + first,
                narrow.data<float>() + row * columns.narrow, bytes);
}

void CpuBackend::read_columns(Stream&, std::int64_t first, const Tensor& wide, Tensor& narrow) {
  const Columns columns = check_columns(first, narrow, wide);
  const std::size_t bytes = static_cast<std::size_t>(columns.narrow) * sizeof(float);
  for (std::int64_t row = 0; row < columns.rows; ++row)
    std::memcpy(narrow.data<float>() + row * columns.narrow,
                wide.data<float>() + row * columns.wide + first, bytes);
}

}  // namespace lockstep
