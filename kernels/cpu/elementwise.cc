// Sums, products by channel, fills, dropout and normalisation of inputs on the CPU back end.
#include <algorithm>

#include "kernels/core/small_floats.h"
#include "kernels/cpu/backend_impl.h"
#include "kernels/cpu/checks.h"
#include "kernels/cpu/vector_kernels.h"

namespace lockstep {

void CpuBackend::add(Stream&, const Tensor& a, const Tensor& b, Tensor& y) {
  cpu::check_shape(b, a.shape(), "b");
  cpu::check_shape(y, a.shape(), "y");
  vector_.elementwise.add(a.data<float>(), b.data<float>(), y.data<float>(), y.elements());
}

void CpuBackend::convert(Stream&, const Tensor& x, Tensor& y) {
  LOCKSTEP_CHECK(x.defined() && y.defined() && x.shape() == y.shape(), "convert: x is {}, y {}",
                 x.shape().to_string(), y.shape().to_string());
  const std::int64_t n = x.elements();
  const bool narrow = x.dtype() == DType::kBFloat16, narrows = y.dtype() == DType::kBFloat16;
  cpu::check_type(x, narrow ? DType::kBFloat16 : DType::kFloat32, "x");
  cpu::check_type(y, narrows ? DType::kBFloat16 : DType::kFloat32, "y");
  if (narrow == narrows) {
    std::copy_n(x.raw(), x.bytes(), y.raw());
  } else if (narrows) {
    auto* const to = reinterpret_cast<std::uint16_t*>(y.raw());
    for (std::int64_t i = 0; i < n; ++i) to[i] = to_bfloat16(x.data<float>()[i]);
  } else {
    const auto* const from = reinterpret_cast<const std::uint16_t*>(x.raw());
    for (std::int64_t i = 0; i < n; ++i) y.data<float>()[i] = from_bfloat16(from[i]);
  }
}

void CpuBackend::fill(Stream&, float value, Tensor& y) {
  cpu::check_type(y, DType::kFloat32, "y");
  vector_.elementwise.fill(value, y.data<float>(), y.elements());
}

void CpuBackend::scale(Stream&, float factor, Tensor& x) {
  cpu::check_type(x, DType::kFloat32, "x");
  vector_.elementwise.scale(factor, x.data<float>(), x.elements());
}

void CpuBackend::dropout(Stream&, const DropoutOptions& options, const Tensor& sample_ids,
                         const Tensor& x, Tensor& y) {
  const float probability = options.probability;
  LOCKSTEP_CHECK(probability >= 0 && probability <= 1, "probability {} of dropout", probability);
  cpu::check_shape(y, x.shape(), "y");
  const std::int64_t rows = x.rows();
  cpu::check_count(sample_ids, rows, "sample_ids", DType::kInt64);
  if (rows == 0) return;
  const std::int64_t width = x.elements() / rows;
  const float kept =
      probability == 1 ? 0.0f : static_cast<float>(1.0 / (1.0 - static_cast<double>(probability)));
  const auto key = options.key.words();
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto sample = static_cast<std::uint64_t>(sample_ids.data<std::int64_t>()[row]);
    const PhiloxBlock counter = options.key.counter(sample, 0);
    vector_.elementwise.dropout(counter.data(), key.data(), probability, kept,
                                x.data<float>() + row * width, y.data<float>() + row * width,
                                width);
  }
}

void CpuBackend::drop_samples(Stream&, const DropoutOptions& options, const Tensor& sample_ids,
                              const Tensor& x, Tensor& y) {
  const float probability = options.probability;
  LOCKSTEP_CHECK(probability >= 0 && probability < 1, "probability {} of dropping samples",
                 probability);
  cpu::check_shape(y, x.shape(), "y");
  const std::int64_t rows = x.rows();
  cpu::check_count(sample_ids, rows, "sample_ids", DType::kInt64);
  if (rows == 0) return;
  const std::int64_t width = x.elements() / rows;
  const auto kept = static_cast<float>(1.0 / (1.0 - static_cast<double>(probability)));
  constexpr float kNoShift = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto sample = static_cast<std::uint64_t>(sample_ids.data<std::int64_t>()[row]);
    float* to = y.data<float>() + row * width;
    if (to_unit_float(options.key.block(sample, 0)[0]) < probability)
      vector_.elementwise.fill(0.0f, to, width);
    else
      vector_.elementwise.scale_shift_f32(x.data<float>() + row * width, &kept, &kNoShift, 1, to,
                                          width);
  }
}

void CpuBackend::scale_channels(Stream&, const Tensor& x, const Tensor& factor, const Tensor& shift,
                                Tensor& y) {
  cpu::check_shape(y, x.shape(), "y");
  const std::int64_t rows = x.rows(), channels = x.shape().back();
  cpu::check_shape(factor, {rows, channels}, "factor");
  if (shift.defined()) cpu::check_shape(shift, {rows, channels}, "shift");
  if (x.elements() == 0) return;
  const std::int64_t width = x.elements() / rows;
  for (std::int64_t row = 0; row < rows; ++row)
    vector_.norm.scale_columns(x.data<float>() + row * width, factor.data<float>() + row * channels,
                               shift.defined() ? shift.data<float>() + row * channels : nullptr,
                               width / channels, channels, y.data<float>() + row * width);
}

void CpuBackend::scale_channels_backward(Stream&, const Tensor& x, const Tensor& dy,
                                         Tensor& dfactor) {
  cpu::check_shape(dy, x.shape(), "dy");
  const std::int64_t rows = x.rows(), channels = x.shape().back();
  cpu::check_shape(dfactor, {rows, channels}, "dfactor");
  if (dfactor.elements() == 0) return;
  const std::int64_t width = x.elements() / rows;
  for (std::int64_t row = 0; row < rows; ++row)
    vector_.norm.product_sums(x.data<float>() + row * width, dy.data<float>() + row * width,
                              width / channels, channels, dfactor.data<float>() + row * channels);
}

void CpuBackend::scale_shift(Stream& stream, const Tensor& x, const Tensor& scale,
                             const Tensor& shift, Tensor& y) {
  cpu::check_shape(y, x.shape(), "y");
  cpu::check_type(scale, DType::kFloat32, "scale");
  const std::int64_t n = x.elements();
  if (n == 0) return;
  std::int64_t period = scale.elements();
  cpu::check_count(shift, period, "shift");
  LOCKSTEP_CHECK(period > 0 && n / x.rows() % period == 0, "{} factors do not divide a row of {}",
                 period, x.shape().to_string());

  // Few channels are repeated up to whole vectors; what is left over takes one pass by channels.
  constexpr std::int64_t kRepeat = 16;
  const float* factors = scale.data<float>();
  const float* offsets = shift.data<float>();
  std::int64_t whole = n;
  if (period > 1 && period < 4 * kRepeat) {
    const std::int64_t tile = period * kRepeat;
    float* tiles = cpu::float_workspace(stream, 2 * tile);
    for (std::int64_t i = 0; i < tile; ++i) {
      tiles[i] = factors[i % period];
      tiles[tile + i] = offsets[i % period];
    }
    factors = tiles;
    offsets = tiles + tile;
    period = tile;
    whole = n / tile * tile;
  }
  const auto run = [&](auto kernel, const auto* from) {
    float* to = y.data<float>();
    kernel(from, factors, offsets, period, to, whole);
    if (whole < n) kernel(from + whole, factors, offsets, n - whole, to + whole, n - whole);
  };
  const auto& kernels = vector_.elementwise;
  switch (x.dtype()) {
    case DType::kUInt8:
      return run(kernels.scale_shift_u8, x.data<std::uint8_t>());
    case DType::kFloat32:
      return run(kernels.scale_shift_f32, x.data<float>());
    case DType::kInt64:
      return run(kernels.scale_shift_i64, x.data<std::int64_t>());
    default:
      throw Error("scale_shift of {}", name_of(x.dtype()));
  }
}

}  // namespace lockstep
