// Adaptive pooling on the CPU back end: image by image.
#include <limits>

#include "kernels/cpu/backend_impl.h"
#include "kernels/cpu/checks.h"
#include "kernels/cpu/vector_kernels.h"

namespace lockstep {

namespace {

struct Images {
  AdaptivePoolPlan plan;
  Shape in, out;                   // of all rows
  std::int64_t in_size, out_size;  // of one
};

Images images_of(const AdaptivePoolGeometry& g, std::int64_t rows) {
  LOCKSTEP_CHECK(g.in_h > 0 && g.in_w > 0 && g.out_h > 0 && g.out_w > 0,
                 "adaptive pooling from {} x {} to {} x {}", g.in_h, g.in_w, g.out_h, g.out_w);
  LOCKSTEP_CHECK(g.in_h * g.in_w <= std::numeric_limits<std::int32_t>::max(),
                 "adaptive pooling of {} x {} places", g.in_h, g.in_w);
  return {{g.in_h, g.in_w, g.channels, g.out_h, g.out_w},
          {rows, g.in_h, g.in_w, g.channels},
          {rows, g.out_h, g.out_w, g.channels},
          g.in_h * g.in_w * g.channels,
          g.out_h * g.out_w * g.channels};
}

}  // namespace

void CpuBackend::adaptive_max_pool_forward(Stream&, const AdaptivePoolGeometry& geometry,
                                           const Tensor& x, Tensor& y, Tensor& place) {
  const Images images = images_of(geometry, x.rows());
  cpu::check_shape(x, images.in, "x");
  cpu::check_shape(y, images.out, "y");
  cpu::check_shape(place, images.out, "place", DType::kInt64);
  for (std::int64_t row = 0; row < x.rows(); ++row)
    vector_.adaptive_pool.max_forward(images.plan, x.data<float>() + row * images.in_size,
                                      y.data<float>() + row * images.out_size,
                                      place.data<std::int64_t>() + row * images.out_size);
}

void CpuBackend::adaptive_max_pool_backward(Stream&, const AdaptivePoolGeometry& geometry,
                                            const Tensor& dy, const Tensor& place, Tensor& dx) {
  const Images images = images_of(geometry, dy.rows());
  cpu::check_shape(dy, images.out, "dy");
  cpu::check_shape(place, images.out, "place", DType::kInt64);
  cpu::check_shape(dx, images.in, "dx");
  for (std::int64_t row = 0; row < dy.rows(); ++row)
    vector_.adaptive_pool.max_backward(images.plan, dy.data<float>() + row * images.out_size,
                                       place.data<std::int64_t>() + row * images.out_size,
                                       dx.data<float>() + row * images.in_size);
}

void CpuBackend::adaptive_avg_pool_forward(Stream&, const AdaptivePoolGeometry& geometry,
                                           const Tensor& x, Tensor& y) {
  const Images images = images_of(geometry, x.rows());
  cpu::check_shape(x, images.in, "x");
  cpu::check_shape(y, images.out, "y");
  for (std::int64_t row = 0; row < x.rows(); ++row)
    vector_.adaptive_pool.avg_forward(images.plan, x.data<float>() + row * images.in_size,
                                      y.data<float>() + row * images.out_size);
}

void CpuBackend::adaptive_avg_pool_backward(Stream&, const AdaptivePoolGeometry& geometry,
                                            const Tensor& dy, Tensor& dx) {
  const Images images = images_of(geometry, dy.rows());
  cpu::check_shape(dy, images.out, "dy");
  cpu::check_shape(dx, images.in, "dx");
  for (std::int64_t row = 0; row < dy.rows(); ++row)
    vector_.adaptive_pool.avg_backward(images.plan, dy.data<float>() + row * images.out_size,
                                       dx.data<float>() + row * images.in_size);
}

}  // namespace lockstep
