// Sums, fills, factors, limits: one rounding an element.
#include "kernels/cuda/checks.h"
#include "kernels/cuda/map.h"

namespace lockstep {

namespace gpu {
namespace {

struct Add {
  __device__ void operator()(float a, float b, float& y) const { y = a + b; }
};

struct Convert {
  __device__ void operator()(float x, float& y) const { y = x; }
};

struct Fill {
  float value;
  __device__ void operator()(float& y) const { y = value; }
};

struct Scale {
  float factor;
  __device__ void operator()(float& x) const { x *= factor; }
};

struct Clamp {
  float limit;
  __device__ void operator()(float& x) const {  // a NaN stays
    if (x > limit) x = limit;
    if (x < -limit) x = -limit;
  }
};

}  // namespace
}  // namespace gpu

void CudaBackend::add(Stream& stream, const Tensor& a, const Tensor& b, Tensor& y) {
  gpu::check_like(b, a, "b");
  gpu::check_like(y, a, "y");
  gpu::for_element_type(a, "a", [&]<typename T>(T) {
    gpu::map_elements(gpu::raw(stream), "add", a.elements(), gpu::Add{}, gpu::in(a.data<T>()),
                      gpu::in(b.data<T>()), gpu::out(y.data<T>()));
  });
}

void CudaBackend::convert(Stream& stream, const Tensor& x, Tensor& y) {
  gpu::check_shape(y, x.shape(), "y", y.dtype());
  gpu::for_element_type(x, "x", [&]<typename From>(From) {
    gpu::for_element_type(y, "y", [&]<typename To>(To) {
      gpu::map_elements(gpu::raw(stream), "convert", x.elements(), gpu::Convert{},
                        gpu::in(x.data<From>()), gpu::out(y.data<To>()));
    });
  });
}

void CudaBackend::fill(Stream& stream, float value, Tensor& y) {
  gpu::for_element_type(y, "y", [&]<typename T>(T) {
    gpu::map_elements(gpu::raw(stream), "fill", y.elements(), gpu::Fill{value},
                      gpu::out(y.data<T>()));
  });
}

void CudaBackend::scale(Stream& stream, float factor, Tensor& x) {
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    gpu::map_elements(gpu::raw(stream), "scale", x.elements(), gpu::Scale{factor},
                      gpu::in_out(x.data<T>()));
  });
}

void CudaBackend::clamp(Stream& stream, float limit, Tensor& x) {
  LOCKSTEP_CHECK(limit >= 0, "a limit of {}", limit);
  gpu::check_type(x, DType::kFloat32, "x");
  gpu::map_elements(gpu::raw(stream), "clamp", x.elements(), gpu::Clamp{limit},
                    gpu::in_out(x.data<float>()));
}

}  // namespace lockstep
