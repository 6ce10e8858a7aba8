// Inputs as normalised floats: y[i] = x[i] · scale[i mod P] + shift[i mod P], fused.
#include "kernels/cuda/checks.h"
#include "kernels/cuda/kernel.h"

namespace lockstep {

namespace gpu {
namespace {

constexpr int kQuad = 4;
constexpr unsigned kThreads = 256;

template <typename From, typename To>
__global__ void __launch_bounds__(kThreads)
    scale_shift_kernel(const From* x, const float* scale, const float* shift, std::int64_t period,
                       To* y, std::int64_t n, bool aligned) {
  const std::int64_t at = thread_number() * kQuad;
  if (at >= n) return;
  const std::int64_t count = n - at < kQuad ? n - at : kQuad;
  const bool whole = aligned && count == kQuad;
  Value<From> from[kQuad];
  float to[kQuad] = {};
  load_some<kQuad>(x + at, count, whole, from);
  std::int64_t place = at % period;
#pragma unroll
  for (int i = 0; i < kQuad; ++i) {
    if (i < count) to[i] = fmaf(static_cast<float>(from[i]), scale[place], shift[place]);
    if (++place == period) place = 0;
  }
  store_some<kQuad>(y + at, count, whole, to);
}

template <typename Run>
void for_input_type(const Tensor& x, const Run& run) {
  switch (x.dtype()) {
    case DType::kUInt8:
      return run(std::uint8_t{});
    case DType::kFloat32:
      return run(float{});
    case DType::kInt64:
      return run(std::int64_t{});
    default:
      throw Error("scale_shift of {}", name_of(x.dtype()));
  }
}

}  // namespace
}  // namespace gpu

void CudaBackend::scale_shift(Stream& stream, const Tensor& x, const Tensor& scale,
                              const Tensor& shift, Tensor& y) {
  gpu::check_shape(y, x.shape(), "y", y.dtype());
  gpu::check_type(scale, DType::kFloat32, "scale");
  const std::int64_t n = x.elements(), period = scale.elements();
  if (n == 0) return;
  gpu::check_count(shift, period, "shift");
  LOCKSTEP_CHECK(period > 0 && n / x.rows() % period == 0, "{} factors do not divide a row of {}",
                 period, x.shape().to_string());
  gpu::for_input_type(x, [&]<typename From>(From) {
    gpu::for_element_type(y, "y", [&]<typename To>(To) {
      const gpu::Launch launch{.name = "scale_shift",
                               .grid = {gpu::blocks_for(n, gpu::kQuad * gpu::kThreads)},
                               .block = {gpu::kThreads}};
      gpu::launch(
          gpu::raw(stream), launch, gpu::scale_shift_kernel<From, To>, x.data<From>(),
          scale.data<float>(), shift.data<float>(), period, y.data<To>(), n,
          gpu::all_aligned<gpu::kQuad, From>({&x}) && gpu::all_aligned<gpu::kQuad, To>({&y}));
    });
  });
}

}  // namespace lockstep
