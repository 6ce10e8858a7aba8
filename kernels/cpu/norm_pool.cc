// max_pool(relu(batch_norm(x))), the stem of a ResNet, without its large maps: strips of rows are
// normalised, or given their gradients, in a workspace that stays in the second-level cache.
#include <algorithm>

#include "kernels/cpu/backend_impl.h"
#include "kernels/cpu/batch_norm.h"
#include "kernels/cpu/checks.h"
#include "kernels/cpu/gemm_runs.h"

namespace lockstep {
namespace {

// Floats of a strip; the strips depend on the shape alone, for the gradients' sums run over them.
constexpr std::int64_t kStripFloats = 1 << 17;

struct Rows {
  std::int64_t first, end;
  std::int64_t count() const { return end - first; }
};

struct PooledImages {
  const PoolGeometry& g;
  std::int64_t out_h = g.out_h(), out_w = g.out_w();
  std::int64_t in_row = g.in_w * g.channels, out_row = out_w * g.channels;

  std::int64_t rows_at_once() const { return std::max<std::int64_t>(1, kStripFloats / in_row); }
  // Rows of x that the windows of some rows of y see.
  Rows seen_by(const Rows& out) const {
    return {std::max<std::int64_t>(0, out.first * g.stride_h - g.pad_h),
            std::min(g.in_h, (out.end - 1) * g.stride_h - g.pad_h + g.kernel_h)};
  }
  // Rows of y whose windows see some of these rows of x; may be none.
  Rows seeing(const Rows& in) const {
    const std::int64_t first = in.first + g.pad_h - g.kernel_h + 1;  // · stride_h, rounded up
    const Rows rows{first > 0 ? (first + g.stride_h - 1) / g.stride_h : 0,
                    std::min(out_h, (in.end - 1 + g.pad_h) / g.stride_h + 1)};
    return {rows.first, std::max(rows.first, rows.end)};
  }
  // The pooling of rows `in` of x to rows `out` of y alone.
  PoolPlan plan(const Rows& in, const Rows& out) const {
    return {in.count(), g.in_w,
            g.channels, out.count(),
            out_w,      g.kernel_h,
            g.kernel_w, g.stride_h,
            g.stride_w, in.first - (out.first * g.stride_h - g.pad_h),
            g.pad_w,    false};
  }
};

void check_pooled(const PoolGeometry& g, const Tensor& x, const Tensor& y) {
  cpu::check_shape(x, {x.rows(), g.in_h, g.in_w, g.channels}, "x");
  cpu::check_shape(y, {x.rows(), g.out_h(), g.out_w(), g.channels}, "y");
  LOCKSTEP_CHECK(g.kernel_h * g.kernel_w <= 255 && g.stride_h <= g.kernel_h &&
                     2 * g.pad_h <= g.kernel_h && 2 * g.pad_w <= g.kernel_w,
                 "pooling: windows of {} x {} every {} rows, with pads {} and {}", g.kernel_h,
                 g.kernel_w, g.stride_h, g.pad_h, g.pad_w);
}

struct Affine {
  const float *mean, *factor, *shift;
};

void pool_forward(const VectorKernels& kernels, const PooledImages& images, std::int64_t count,
                  const Affine& affine, const float* x, float* strip, float* y,
                  std::uint8_t* argmax) {
  const PoolGeometry& g = images.g;
  const std::int64_t some =
      std::max<std::int64_t>(1, (images.rows_at_once() - g.kernel_h) / g.stride_h + 1);
  for (std::int64_t image = 0; image < count; ++image) {
    for (std::int64_t row = 0; row < images.out_h; row += some) {
      const Rows out{row, std::min(row + some, images.out_h)}, in = images.seen_by(out);
      const std::int64_t at = (image * images.out_h + row) * images.out_row;
      kernels.batch_norm.relu_forward(x + (image * g.in_h + in.first) * images.in_row, affine.mean,
                                      affine.factor, affine.shift, nullptr, in.count() * g.in_w,
                                      g.channels, strip, nullptr);
      kernels.pool.max_forward(images.plan(in, out), strip, y + at, argmax + at);
    }
  }
}

std::int64_t forward_strip_rows(const PooledImages& images) {
  return std::max(images.rows_at_once(), images.g.kernel_h);
}

}  // namespace

void CpuBackend::batch_norm_relu_max_pool_forward(Stream& stream, const BatchNormOptions& options,
                                                  const PoolGeometry& g, const Tensor& x,
                                                  const Tensor& gamma, const Tensor& beta,
                                                  Tensor& y, Tensor& argmax, Tensor& saved_mean,
                                                  Tensor& saved_inv_std, Tensor& stat_mean,
                                                  Tensor& stat_var) {
  check_pooled(g, x, y);
  cpu::check_count(argmax, y.elements(), "argmax", DType::kUInt8);
  const PooledImages images{g};
  Workspace workspace(stream,
                      Workspace::bytes_of<float>(g.channels) +
                          Workspace::bytes_of<float>(forward_strip_rows(images) * images.in_row));
  float* const factors = workspace.take<float>(g.channels);
  if (!cpu::batch_norm_moments(vector_, options, x, gamma, beta,
                               {saved_mean, saved_inv_std, stat_mean, stat_var}, factors))
    return;
  pool_forward(vector_, images, x.rows(), {saved_mean.data<float>(), factors, beta.data<float>()},
               x.data<float>(), workspace.take<float>(forward_strip_rows(images) * images.in_row),
               y.data<float>(), argmax.data<std::uint8_t>());
}

void CpuBackend::batch_norm_relu_max_pool_inference(Stream& stream, const BatchNormOptions& options,
                                                    const PoolGeometry& g, const Tensor& x,
                                                    const Tensor& gamma, const Tensor& beta,
                                                    const Tensor& running_mean,
                                                    const Tensor& running_var, Tensor& y) {
  check_pooled(g, x, y);
  const PooledImages images{g};
  const std::int64_t strip = forward_strip_rows(images) * images.in_row;
  Workspace workspace(stream, Workspace::bytes_of<float>(g.channels) +
                                  Workspace::bytes_of<float>(strip) +
                                  Workspace::bytes_of<std::uint8_t>(y.elements()));
  float* const factors = workspace.take<float>(g.channels);
  cpu::batch_norm_factors(options, x, gamma, beta, running_mean, running_var, factors);
  float* const rows = workspace.take<float>(strip);
  pool_forward(vector_, images, x.rows(), {running_mean.data<float>(), factors, beta.data<float>()},
               x.data<float>(), rows, y.data<float>(), workspace.take<std::uint8_t>(y.elements()));
}

void CpuBackend::batch_norm_relu_max_pool_backward(Stream& stream, const PoolGeometry& g,
                                                   const Tensor& x, const Tensor& y,
                                                   const Tensor& dy, const Tensor& argmax,
                                                   const Tensor& gamma, const Tensor& saved_mean,
                                                   const Tensor& saved_inv_std, Tensor& dgamma,
                                                   Tensor& dbeta, Tensor& dx) {
  check_pooled(g, x, y);
  cpu::check_shape(dy, y.shape(), "dy");
  cpu::check_shape(dx, x.shape(), "dx");
  cpu::check_count(argmax, y.elements(), "argmax", DType::kUInt8);
  const cpu::BatchNormGradient gradient{gamma, saved_mean, saved_inv_std, dgamma, dbeta};
  cpu::check_gradient(gradient, g.channels);
  const PooledImages images{g};
  const std::int64_t some = std::min(g.in_h, images.rows_at_once());
  // Rows of x that the windows over a strip see, and rows of y that see it.
  const std::int64_t most_in = some + 2 * (g.kernel_h - 1),
                     most_out = (some + g.kernel_h - 2) / g.stride_h + 1;
  Workspace workspace(stream, 2 * Workspace::bytes_of<float>(g.channels) +
                                  Workspace::bytes_of<float>(3 * g.channels) +
                                  Workspace::bytes_of<float>(most_in * images.in_row) +
                                  Workspace::bytes_of<float>(most_out * images.out_row));
  float* const sums = workspace.take<float>(g.channels);
  float* const sums_x = workspace.take<float>(g.channels);
  float* const slope_memory = workspace.take<float>(3 * g.channels);
  float* const d_rows = workspace.take<float>(most_in * images.in_row);
  float* const d_out = workspace.take<float>(most_out * images.out_row);

  // Calls visit(place in x, gradient of the ReLU's output, pixels) for each strip.
  const auto for_each_strip = [&](const auto& visit) {
    for (std::int64_t image = 0; image < x.rows(); ++image) {
      for (std::int64_t row = 0; row < g.in_h; row += some) {
        const Rows strip{row, std::min(row + some, g.in_h)}, out = images.seeing(strip);
        const std::int64_t pixels = strip.count() * g.in_w;
        const std::int64_t place = (image * g.in_h + row) * images.in_row;
        if (out.count() == 0) {
          std::fill_n(d_rows, pixels * g.channels, 0.0f);
          visit(place, d_rows, pixels);
          continue;
        }
        // Where the largest of a window is not above 0, the ReLU stops its gradient.
        const std::int64_t at = (image * images.out_h + out.first) * images.out_row;
        vector_.activation.relu.backward(0.0f, y.data<float>() + at, dy.data<float>() + at, d_out,
                                         out.count() * images.out_row);
        Rows in = images.seen_by(out);
        in.end = std::max(in.end, strip.end);  // rows below the last window
        vector_.pool.max_backward(images.plan(in, out), d_out, argmax.data<std::uint8_t>() + at,
                                  d_rows);
        visit(place, d_rows + (row - in.first) * images.in_row, pixels);
      }
    }
  };

  float *total = dbeta.data<float>(), *total_x = dgamma.data<float>();
  std::fill_n(total, g.channels, 0.0f);
  std::fill_n(total_x, g.channels, 0.0f);
  const float* const mean = saved_mean.data<float>();
  for_each_strip([&](std::int64_t place, const float* d, std::int64_t pixels) {
    vector_.norm.gradient_sums(x.data<float>() + place, d, mean, pixels, g.channels, sums, sums_x);
    vector_.elementwise.add(total, sums, total, g.channels);
    vector_.elementwise.add(total_x, sums_x, total_x, g.channels);
  });
  const auto slope =
      cpu::finish_gradient(gradient, g.channels, x.rows() * g.in_h * g.in_w, slope_memory);
  for_each_strip([&](std::int64_t place, const float* d, std::int64_t pixels) {
    vector_.norm.gradient_data(x.data<float>() + place, d, mean, slope.a, slope.b, slope.c, pixels,
                               g.channels, dx.data<float>() + place);
  });
}

}  // namespace lockstep
