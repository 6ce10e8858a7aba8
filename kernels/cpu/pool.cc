// Pooling on the CPU back end: image by image.
#include "kernels/cpu/backend_impl.h"
#include "kernels/cpu/checks.h"
#include "kernels/cpu/vector_kernels.h"

namespace lockstep {

namespace {

PoolPlan plan_of(const PoolGeometry& g) {
  LOCKSTEP_CHECK(g.kernel_h > 0 && g.kernel_w > 0 && g.stride_h > 0 && g.stride_w > 0,
                 "pooling window {} x {}, stride {} x {}", g.kernel_h, g.kernel_w, g.stride_h,
                 g.stride_w);
  // As PyTorch: then every window holds at least one place of the image.
  LOCKSTEP_CHECK(
      g.pad_h >= 0 && g.pad_w >= 0 && 2 * g.pad_h <= g.kernel_h && 2 * g.pad_w <= g.kernel_w,
      "padding {} x {} is more than half the window {} x {}", g.pad_h, g.pad_w, g.kernel_h,
      g.kernel_w);
  LOCKSTEP_CHECK(g.kernel_h <= g.in_h + 2 * g.pad_h && g.kernel_w <= g.in_w + 2 * g.pad_w,
                 "the window {} x {} is larger than the image {} x {}", g.kernel_h, g.kernel_w,
                 g.in_h, g.in_w);
  return {g.in_h,     g.in_w,     g.channels, g.out_h(), g.out_w(), g.kernel_h,
          g.kernel_w, g.stride_h, g.stride_w, g.pad_h,   g.pad_w,   g.count_include_pad};
}

Shape inputs(const PoolPlan& p, std::int64_t rows) {
  return {rows, p.in_h, p.in_w, p.channels};
}
Shape outputs(const PoolPlan& p, std::int64_t rows) {
  return {rows, p.out_h, p.out_w, p.channels};
}
std::int64_t input_size(const PoolPlan& p) {
  return p.in_h * p.in_w * p.channels;
}
std::int64_t output_size(const PoolPlan& p) {
  return p.out_h * p.out_w * p.channels;
}

void check_places(const PoolPlan& p) {
  LOCKSTEP_CHECK(p.kernel_h * p.kernel_w <= 255, "max pooling over {} x {} places; 255 at most",
                 p.kernel_h, p.kernel_w);
}

}  // namespace

void CpuBackend::max_pool_forward(Stream&, const PoolGeometry& geometry, const Tensor& x, Tensor& y,
                                  Tensor& argmax) {
  const PoolPlan plan = plan_of(geometry);
  check_places(plan);
  cpu::check_shape(x, inputs(plan, x.rows()), "x");
  cpu::check_shape(y, outputs(plan, x.rows()), "y");
  cpu::check_shape(argmax, y.shape(), "argmax", DType::kUInt8);
  for (std::int64_t row = 0; row < x.rows(); ++row)
    vector_.pool.max_forward(plan, x.data<float>() + row * input_size(plan),
                             y.data<float>() + row * output_size(plan),
                             argmax.data<std::uint8_t>() + row * output_size(plan));
}

void CpuBackend::max_pool_backward(Stream&, const PoolGeometry& geometry, const Tensor& dy,
                                   const Tensor& argmax, Tensor& dx) {
  const PoolPlan plan = plan_of(geometry);
  check_places(plan);
  cpu::check_shape(dy, outputs(plan, dy.rows()), "dy");
  cpu::check_shape(argmax, dy.shape(), "argmax", DType::kUInt8);
  cpu::check_shape(dx, inputs(plan, dy.rows()), "dx");
  for (std::int64_t row = 0; row < dy.rows(); ++row)
    vector_.pool.max_backward(plan, dy.data<float>() + row * output_size(plan),
                              argmax.data<std::uint8_t>() + row * output_size(plan),
                              dx.data<float>() + row * input_size(plan));
}

void CpuBackend::avg_pool_forward(Stream&, const PoolGeometry& geometry, const Tensor& x,
                                  Tensor& y) {
  const PoolPlan plan = plan_of(geometry);
  cpu::check_shape(x, inputs(plan, x.rows()), "x");
  cpu::check_shape(y, outputs(plan, x.rows()), "y");
  for (std::int64_t row = 0; row < x.rows(); ++row)
    vector_.pool.avg_forward(plan, x.data<float>() + row * input_size(plan),
                             y.data<float>() + row * output_size(plan));
}

void CpuBackend::avg_pool_backward(Stream&, const PoolGeometry& geometry, const Tensor& dy,
                                   Tensor& dx) {
  const PoolPlan plan = plan_of(geometry);
  cpu::check_shape(dy, outputs(plan, dy.rows()), "dy");
  cpu::check_shape(dx, inputs(plan, dy.rows()), "dx");
  for (std::int64_t row = 0; row < dy.rows(); ++row)
    vector_.pool.avg_backward(plan, dy.data<float>() + row * output_size(plan),
                              dx.data<float>() + row * input_size(plan));
}

void CpuBackend::global_avg_pool_forward(Stream&, const Tensor& x, Tensor& y) {
  LOCKSTEP_CHECK(x.shape().rank() == 4, "x is {}, not (N, H, W, C)", x.shape().to_string());
  const std::int64_t places = x.shape()[1] * x.shape()[2], channels = x.shape()[3];
  cpu::check_shape(y, {x.rows(), channels}, "y");
  LOCKSTEP_CHECK(places > 0, "the image {} is empty", x.shape().to_string());
  const auto divisor = static_cast<float>(places);
  for (std::int64_t row = 0; row < x.rows(); ++row) {
    float* sums = y.data<float>() + row * channels;
    vector_.norm.column_sums(x.data<float>() + row * places * channels, places, channels, sums);
    for (std::int64_t c = 0; c < channels; ++c) sums[c] /= divisor;
  }
}

void CpuBackend::global_avg_pool_backward(Stream&, const Tensor& dy, Tensor& dx) {
  LOCKSTEP_CHECK(dx.shape().rank() == 4, "dx is {}, not (N, H, W, C)", dx.shape().to_string());
  const std::int64_t places = dx.shape()[1] * dx.shape()[2], channels = dx.shape()[3];
  cpu::check_shape(dy, {dx.rows(), channels}, "dy");
  for (std::int64_t row = 0; row < dx.rows(); ++row)
    vector_.norm.spread(dy.data<float>() + row * channels, static_cast<float>(places), places,
                        channels, dx.data<float>() + row * places * channels);
}

}  // namespace lockstep
