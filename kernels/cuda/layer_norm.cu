// Layer norm over the last axis: a warp a row; the gradients of gamma and beta are sums over rows.
// The mean comes first and the variance from centred values.
#include "kernels/cuda/checks.h"
#include "kernels/cuda/columns.h"
#include "kernels/cuda/rows.h"

namespace lockstep {

namespace gpu {
namespace {

template <typename T>
struct LayerNormForward {
  static constexpr int kPack = gpu::kPack<T>;
  const T* x;
  const float *gamma, *beta;
  T* y;
  float *mean, *inv_std;
  std::int64_t width;
  float epsilon;

  __device__ void operator()(std::int64_t row, bool aligned) const {
    const T* const from = x + row * width;
    const auto size = static_cast<float>(width);
    float total = 0, squares = 0;
    for_lane_packs<kPack>(width, aligned, [&](std::int64_t start, std::int64_t count, bool whole) {
      float values[kPack];
      load_some<kPack>(from + start, count, whole, values);
#pragma unroll
      for (int i = 0; i < kPack; ++i) total += values[i];
    });
    const float centre = warp_sum(total) / size;
    for_lane_packs<kPack>(width, aligned, [&](std::int64_t start, std::int64_t count, bool whole) {
      float values[kPack];
      load_some<kPack>(from + start, count, whole, values, centre);
#pragma unroll
      for (int i = 0; i < kPack; ++i)
        squares = fmaf(values[i] - centre, values[i] - centre, squares);
    });
    const float factor = 1.0f / sqrtf(warp_sum(squares) / size + epsilon);
    if (threadIdx.x % kWarp == 0) {
      mean[row] = centre;
      inv_std[row] = factor;
    }
    for_lane_packs<kPack>(width, aligned, [&](std::int64_t start, std::int64_t count, bool whole) {
      float values[kPack], scale[kPack], shift[kPack];
      load_some<kPack>(from + start, count, whole, values);
      load_some<kPack>(gamma + start, count, whole, scale);
      load_some<kPack>(beta + start, count, whole, shift);
#pragma unroll
      for (int i = 0; i < kPack; ++i)
        values[i] = fmaf((values[i] - centre) * factor, scale[i], shift[i]);
      store_some<kPack>(y + row * width + start, count, whole, values);
    });
  }
};

// With x̂ = (x - mean) inv_std and g = dy gamma, in a row of C:
// dx = inv_std (g - Σ g / C - x̂ Σ g x̂ / C)     (Ba, Kiros, Hinton 2016)
template <typename T>
struct LayerNormData {
  static constexpr int kPack = gpu::kPack<T>;
  const T *x, *dy;
  const float *gamma, *mean, *inv_std;
  T* dx;
  std::int64_t width;

  __device__ void operator()(std::int64_t row, bool aligned) const {
    const std::int64_t first = row * width;
    const float centre = mean[row], factor = inv_std[row];
    const auto size = static_cast<float>(width);
    float total = 0, products = 0;
    const auto fetch = [&](std::int64_t start, std::int64_t count, bool whole,
                           float(&normal)[kPack], float(&g)[kPack]) {
      float scale[kPack];
      load_some<kPack>(x + first + start, count, whole, normal);
      load_some<kPack>(dy + first + start, count, whole, g);
      load_some<kPack>(gamma + start, count, whole, scale);
#pragma unroll
      for (int i = 0; i < kPack; ++i) {
        normal[i] = (normal[i] - centre) * factor;
        g[i] *= scale[i];  // 0 beyond the row
      }
    };
    for_lane_packs<kPack>(width, aligned, [&](std::int64_t start, std::int64_t count, bool whole) {
      float normal[kPack], g[kPack];
      fetch(start, count, whole, normal, g);
#pragma unroll
      for (int i = 0; i < kPack; ++i) {
        total += g[i];
        products = fmaf(g[i], normal[i], products);
      }
    });
    const float shift = warp_sum(total) / size, slope = warp_sum(products) / size;
    for_lane_packs<kPack>(width, aligned, [&](std::int64_t start, std::int64_t count, bool whole) {
      float normal[kPack], g[kPack];
      fetch(start, count, whole, normal, g);
#pragma unroll
      for (int i = 0; i < kPack; ++i) g[i] = factor * fmaf(-normal[i], slope, g[i] - shift);
      store_some<kPack>(dx + first + start, count, whole, g);
    });
  }
};

template <typename T>
struct LayerNormSums {  // Σ dy, Σ dy x̂ over the rows
  static constexpr int kPack = gpu::kPack<T>, kSums = 2;
  const T *x, *dy;
  const float *mean, *inv_std;
  float total[kPack] = {}, products[kPack] = {};

  __device__ void begin(std::int64_t, std::int64_t, std::int64_t, bool) {}
  __device__ void add(std::int64_t row, std::int64_t offset, std::int64_t count, bool whole) {
    const float centre = mean[row], factor = inv_std[row];
    float values[kPack], slopes[kPack];
    load_some<kPack>(x + offset, count, whole, values);
    load_some<kPack>(dy + offset, count, whole, slopes);
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      total[i] += slopes[i];
      products[i] = fmaf(slopes[i], (values[i] - centre) * factor, products[i]);
    }
  }
  __device__ void result(float (&sums)[kSums][kPack], float) const {
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      sums[0][i] = total[i];
      sums[1][i] = products[i];
    }
  }
  __device__ static void merge(float (&a)[kSums], float, const float (&b)[kSums], float) {
    add_sums(a, b);
  }
};

struct StoreLayerNorm {
  float *dbeta, *dgamma;
  __device__ void operator()(std::int64_t, std::int64_t channel, const float (&sums)[2]) const {
    dbeta[channel] = sums[0];
    dgamma[channel] = sums[1];
  }
};

std::int64_t check_width(const Tensor& x) {
  const std::int64_t width = x.shape().back();
  LOCKSTEP_CHECK(width > 0, "layer norm of {}", x.shape().to_string());
  return width;
}

}  // namespace
}  // namespace gpu

void CudaBackend::layer_norm_forward(Stream& stream, const LayerNormOptions& options,
                                     const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                     Tensor& y, Tensor& saved_mean, Tensor& saved_inv_std) {
  const std::int64_t width = gpu::check_width(x), rows = x.elements() / width;
  gpu::check_like(y, x, "y");
  gpu::check_count(gamma, width, "gamma");
  gpu::check_count(beta, width, "beta");
  gpu::check_count(saved_mean, rows, "saved_mean");
  gpu::check_count(saved_inv_std, rows, "saved_inv_std");
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    constexpr int N = gpu::kPack<T>;
    const gpu::LayerNormForward<T> row{
        x.data<T>(), gamma.data<float>(),      beta.data<float>(),
        y.data<T>(), saved_mean.data<float>(), saved_inv_std.data<float>(),
        width,       options.epsilon};
    gpu::for_rows(gpu::raw(stream), "layer_norm_forward", row, rows, width,
                  gpu::all_aligned<N, T>({&x, &y}) && gpu::all_aligned<N, float>({&gamma, &beta}));
  });
}

void CudaBackend::layer_norm_backward(Stream& stream, const Tensor& x, const Tensor& dy,
                                      const Tensor& gamma, const Tensor& saved_mean,
                                      const Tensor& saved_inv_std, Tensor& dgamma, Tensor& dbeta,
                                      Tensor& dx) {
  const std::int64_t width = gpu::check_width(x), rows = x.elements() / width;
  gpu::check_like(dy, x, "dy");
  if (dx.defined()) gpu::check_like(dx, x, "dx");
  for (const Tensor* tensor : std::initializer_list<const Tensor*>{&gamma, &dgamma, &dbeta})
    gpu::check_count(*tensor, width, "a tensor of one value a channel");
  gpu::check_count(saved_mean, rows, "saved_mean");
  gpu::check_count(saved_inv_std, rows, "saved_inv_std");
  if (rows == 0) {
    for (Tensor* tensor : {&dgamma, &dbeta})
      gpu::set_bytes(tensor->raw(), 0, tensor->bytes(), gpu::raw(stream));
    return;
  }
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    constexpr int N = gpu::kPack<T>;
    const bool tensors_aligned = gpu::all_aligned<N, T>({&x, &dy, &dx});
    const gpu::LayerNormSums<T> sums{x.data<T>(), dy.data<T>(), saved_mean.data<float>(),
                                     saved_inv_std.data<float>()};
    gpu::sum_columns(gpu::raw(stream), "layer_norm_backward", sums,
                     gpu::StoreLayerNorm{dbeta.data<float>(), dgamma.data<float>()}, 1, rows, width,
                     tensors_aligned, gpu::floats_of(stream));
    if (!dx.defined()) return;
    const gpu::LayerNormData<T> data{x.data<T>(),
                                     dy.data<T>(),
                                     gamma.data<float>(),
                                     saved_mean.data<float>(),
                                     saved_inv_std.data<float>(),
                                     dx.data<T>(),
                                     width};
    gpu::for_rows(gpu::raw(stream), "layer_norm_backward", data, rows, width,
                  tensors_aligned && gpu::all_aligned<N, float>({&gamma}));
  });
}

}  // namespace lockstep
