// Products over the last axis and quadratic functions: small layers of lectures, a thread a row or
// an element. The gradients of a quadratic's coefficients are sums in double by one block.
#include "kernels/cuda/checks.h"
#include "kernels/cuda/map.h"

namespace lockstep {

namespace gpu {
namespace {

constexpr unsigned kThreads = 256;

template <typename T>
__global__ void __launch_bounds__(kThreads)
    product_forward_kernel(const T* x, T* y, std::int64_t rows, std::int64_t columns) {
  const std::int64_t row = thread_number();
  if (row >= rows) return;
  float product = load(x + row * columns);
  for (std::int64_t c = 1; c < columns; ++c) product *= load(x + row * columns + c);
  store(y + row, product);
}

// dx[i] = dy · Π x[j], j ≠ i: the columns before i times those behind it, without division, so that
// zeros are no exception.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    product_backward_kernel(const T* x, const T* dy, T* dx, std::int64_t rows,
                            std::int64_t columns) {
  const std::int64_t row = thread_number() / columns, column = thread_number() % columns;
  if (row >= rows) return;
  float before = load(dy + row), behind = 1;
  for (std::int64_t c = 0; c < column; ++c) before *= load(x + row * columns + c);
  for (std::int64_t c = columns; c-- > column + 1;) behind *= load(x + row * columns + c);
  store(dx + row * columns + column, before * behind);
}

struct Quadratic {
  const float *a, *b, *c;
  __device__ void operator()(float x, float& y) const { y = fmaf(fmaf(*a, x, *b), x, *c); }
};

struct QuadraticSlope {
  const float *a, *b;
  __device__ void operator()(float x, float dy, float& dx) const {
    dx = dy * fmaf(2.0f * *a, x, *b);
  }
};

template <typename T>
__global__ void __launch_bounds__(kThreads)
    quadratic_sums_kernel(const T* x, const T* dy, std::int64_t n, float* da, float* db,
                          float* dc) {
  double sums[3] = {0, 0, 0};
  for (std::int64_t i = threadIdx.x; i < n; i += kThreads) {
    const double point = load(x + i), gradient = load(dy + i);
    sums[0] += gradient * point * point;
    sums[1] += gradient * point;
    sums[2] += gradient;
  }
  float* const results[3] = {da, db, dc};
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    const double total = block_sum<kThreads>(sums[i]);
    if (threadIdx.x == 0) *results[i] = static_cast<float>(total);
  }
}

Launch launch_of(const char* name, std::int64_t threads) {
  return {.name = name, .grid = {blocks_for(threads, kThreads)}, .block = {kThreads}};
}

}  // namespace
}  // namespace gpu

void CudaBackend::product_forward(Stream& stream, const Tensor& x, Tensor& y) {
  const std::int64_t columns = x.shape().back();
  LOCKSTEP_CHECK(columns > 0, "a product of no columns");
  const std::int64_t rows = x.elements() / columns;
  gpu::check_count(y, rows, "y", x.dtype());
  if (rows == 0) return;
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    gpu::launch(gpu::raw(stream), gpu::launch_of("product_forward", rows),
                gpu::product_forward_kernel<T>, x.data<T>(), y.data<T>(), rows, columns);
  });
}

void CudaBackend::product_backward(Stream& stream, const Tensor& x, const Tensor& dy, Tensor& dx) {
  const std::int64_t columns = x.shape().back();
  LOCKSTEP_CHECK(columns > 0, "a product of no columns");
  const std::int64_t rows = x.elements() / columns;
  gpu::check_like(dx, x, "dx");
  gpu::check_count(dy, rows, "dy", x.dtype());
  if (rows == 0) return;
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    gpu::launch(gpu::raw(stream), gpu::launch_of("product_backward", rows * columns),
                gpu::product_backward_kernel<T>, x.data<T>(), dy.data<T>(), dx.data<T>(), rows,
                columns);
  });
}

void CudaBackend::quadratic_forward(Stream& stream, const Tensor& x, const Tensor& a,
                                    const Tensor& b, const Tensor& c, Tensor& y) {
  gpu::check_like(y, x, "y");
  for (const Tensor* tensor : {&a, &b, &c}) gpu::check_count(*tensor, 1, "a coefficient");
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    gpu::map_elements(gpu::raw(stream), "quadratic_forward", x.elements(),
                      gpu::Quadratic{a.data<float>(), b.data<float>(), c.data<float>()},
                      gpu::in(x.data<T>()), gpu::out(y.data<T>()));
  });
}

void CudaBackend::quadratic_backward(Stream& stream, const Tensor& x, const Tensor& dy,
                                     const Tensor& a, const Tensor& b, Tensor& da, Tensor& db,
                                     Tensor& dc, Tensor& dx) {
  gpu::check_like(dy, x, "dy");
  if (dx.defined()) gpu::check_like(dx, x, "dx");
  for (const Tensor* tensor : std::initializer_list<const Tensor*>{&a, &b, &da, &db, &dc})
    gpu::check_count(*tensor, 1, "a coefficient or its gradient");
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    gpu::launch(gpu::raw(stream), gpu::launch_of("quadratic_backward", gpu::kThreads),
                gpu::quadratic_sums_kernel<T>, x.data<T>(), dy.data<T>(), x.elements(),
                da.data<float>(), db.data<float>(), dc.data<float>());
    if (!dx.defined()) return;
    gpu::map_elements(gpu::raw(stream), "quadratic_backward", x.elements(),
                      gpu::QuadraticSlope{a.data<float>(), b.data<float>()}, gpu::in(x.data<T>()),
                      gpu::in(dy.data<T>()), gpu::out(dx.data<T>()));
  });
}

}  // namespace lockstep
