// Batch norm, ReLU and max pooling in one: the tensors between are computed where they are read, in
// the forward pass from x, in the backward passes from what the windows send back.
#include "kernels/cuda/batch_norm.h"
#include "kernels/cuda/pool.h"

namespace lockstep {

namespace gpu {
namespace {

template <typename T>
struct NormaliseMaxPool {
  static constexpr int kPack = gpu::kPack<T>;
  PoolAxes axes;
  const T* x;
  T* y;
  std::uint8_t* argmax;  // null: nobody asks
  BatchNormAffine<kPack> affine;
  std::int64_t channel = 0;

  __device__ void begin(std::int64_t, std::int64_t first, std::int64_t count, bool whole) {
    channel = first;
    affine.begin(first, count, whole);
  }
  __device__ void at(std::int64_t row, std::int64_t offset, std::int64_t count, bool whole) const {
    float best[kPack] = {};
    std::uint8_t place[kPack] = {};
    max_window(
        axes, axes.outputs(row), channel,
        [&](std::int64_t from, float(&values)[kPack]) {
          load_some<kPack>(x + from, count, whole, values);
#pragma unroll
          for (int i = 0; i < kPack; ++i) {
            values[i] = affine(i, values[i]);
            if (values[i] < 0.0f) values[i] = 0.0f;
          }
        },
        best, place);
    store_some<kPack>(y + offset, count, whole, best);
    if (argmax != nullptr) store_some<kPack>(argmax + offset, count, whole, place);
  }
};

// The gradient of the batch norm's output at a pixel of x.
template <typename T>
struct PooledSlope {
  static constexpr int kPack = gpu::kPack<T>;
  PoolAxes axes;
  const T *y, *dy;
  const std::uint8_t* argmax;

  __device__ void operator()(std::int64_t row, std::int64_t channel, std::int64_t count, bool whole,
                             float (&sum)[kPack]) const {
    gather_windows(
        axes, axes.inputs(row), channel, argmax, count, whole,
        [&](std::int64_t from, float(&slopes)[kPack]) {
          float values[kPack];
          load_some<kPack>(y + from, count, whole, values);
          load_some<kPack>(dy + from, count, whole, slopes);
      // Where the largest of a window is not above 0, the ReLU stops its gradient.
#pragma unroll
          for (int i = 0; i < kPack; ++i)
            if (values[i] <= 0.0f) slopes[i] = 0.0f;
        },
        sum);
  }
};

template <typename T>
struct PooledGradientSums {
  static constexpr int kPack = gpu::kPack<T>, kSums = 2;
  PooledSlope<T> slope;
  const T* x;
  const float* mean;
  std::int64_t channel = 0;
  float centre[kPack] = {}, total[kPack] = {}, total_x[kPack] = {};

  __device__ void begin(std::int64_t, std::int64_t first, std::int64_t count, bool whole) {
    channel = first;
    load_some<kPack>(mean + first, count, whole, centre);
  }
  __device__ void add(std::int64_t row, std::int64_t offset, std::int64_t count, bool whole) {
    float values[kPack], slopes[kPack] = {};
    load_some<kPack>(x + offset, count, whole, values);
    slope(row, channel, count, whole, slopes);
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      total[i] += slopes[i];
      total_x[i] = fmaf(slopes[i], values[i] - centre[i], total_x[i]);
    }
  }
  __device__ void result(float (&sums)[kSums][kPack], float) const {
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      sums[0][i] = total[i];
      sums[1][i] = total_x[i];
    }
  }
  __device__ static void merge(float (&a)[kSums], float, const float (&b)[kSums], float) {
    add_sums(a, b);
  }
};

template <typename T>
struct PooledGradientData {
  static constexpr int kPack = gpu::kPack<T>;
  PooledSlope<T> pooled;
  const T* x;
  T* dx;
  BatchNormSlope<kPack> slope;
  std::int64_t channel = 0;

  __device__ void begin(std::int64_t, std::int64_t first, std::int64_t count, bool whole) {
    channel = first;
    slope.begin(first, count, whole);
  }
  __device__ void at(std::int64_t row, std::int64_t offset, std::int64_t count, bool whole) const {
    float values[kPack], slopes[kPack] = {};
    load_some<kPack>(x + offset, count, whole, values);
    pooled(row, channel, count, whole, slopes);
#pragma unroll
    for (int i = 0; i < kPack; ++i) values[i] = slope(i, values[i], slopes[i]);
    store_some<kPack>(dx + offset, count, whole, values);
  }
};

template <typename T>
void pool_forward(Stream& stream, const char* name, const PoolAxes& axes, const Tensor& x,
                  const BatchNormAffine<kPack<T>>& affine, bool constants_aligned, Tensor& y,
                  std::uint8_t* argmax) {
  constexpr int N = kPack<T>;
  const NormaliseMaxPool<T> map{axes, x.data<T>(), y.data<T>(), argmax, affine};
  map_columns(raw(stream), name, map, 1, y.elements() / axes.channels, axes.channels,
              constants_aligned && all_aligned<N, T>({&x, &y}) && aligned<N>(argmax));
}

}  // namespace
}  // namespace gpu

void CudaBackend::batch_norm_relu_max_pool_forward(Stream& stream, const BatchNormOptions& options,
                                                   const PoolGeometry& geometry, const Tensor& x,
                                                   const Tensor& gamma, const Tensor& beta,
                                                   Tensor& y, Tensor& argmax, Tensor& saved_mean,
                                                   Tensor& saved_inv_std, Tensor& stat_mean,
                                                   Tensor& stat_var) {
  const gpu::PoolAxes axes = gpu::pool_axes(geometry, x, y);
  gpu::check_places(geometry);
  gpu::check_count(argmax, y.elements(), "argmax", DType::kUInt8);
  if (!gpu::batch_norm_moments(stream, options, x, gamma, beta,
                               {saved_mean, saved_inv_std, stat_mean, stat_var}))
    return;
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    constexpr int N = gpu::kPack<T>;
    gpu::pool_forward<T>(stream, "batch_norm_relu_max_pool_forward", axes, x,
                         gpu::training_affine<N>(saved_mean, saved_inv_std, gamma, beta),
                         gpu::all_aligned<N, float>({&saved_mean, &saved_inv_std, &gamma, &beta}),
                         y, argmax.data<std::uint8_t>());
  });
}

void CudaBackend::batch_norm_relu_max_pool_inference(Stream& stream,
                                                     const BatchNormOptions& options,
                                                     const PoolGeometry& geometry, const Tensor& x,
                                                     const Tensor& gamma, const Tensor& beta,
                                                     const Tensor& running_mean,
                                                     const Tensor& running_var, Tensor& y) {
  const gpu::PoolAxes axes = gpu::pool_axes(geometry, x, y);
  gpu::check_places(geometry);
  gpu::check_channels({&gamma, &beta, &running_mean, &running_var}, axes.channels);
  if (y.elements() == 0) return;
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    constexpr int N = gpu::kPack<T>;
    gpu::pool_forward<T>(stream, "batch_norm_relu_max_pool_inference", axes, x,
                         gpu::inference_affine<N>(options, running_mean, running_var, gamma, beta),
                         gpu::all_aligned<N, float>({&running_mean, &running_var, &gamma, &beta}),
                         y, nullptr);
  });
}

void CudaBackend::batch_norm_relu_max_pool_backward(Stream& stream, const PoolGeometry& geometry,
                                                    const Tensor& x, const Tensor& y,
                                                    const Tensor& dy, const Tensor& argmax,
                                                    const Tensor& gamma, const Tensor& saved_mean,
                                                    const Tensor& saved_inv_std, Tensor& dgamma,
                                                    Tensor& dbeta, Tensor& dx) {
  const gpu::PoolAxes axes = gpu::pool_axes(geometry, x, y);
  gpu::check_like(dy, y, "dy");
  gpu::check_like(dx, x, "dx");
  gpu::check_count(argmax, y.elements(), "argmax", DType::kUInt8);
  const gpu::BatchNormGradient gradient{gamma, saved_mean, saved_inv_std, dgamma, dbeta};
  gpu::check_gradient(gradient, axes.channels);
  if (gpu::no_values(stream, x, gradient)) return;
  const std::int64_t values = x.elements() / axes.channels;
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    constexpr int N = gpu::kPack<T>;
    const bool all_aligned = gpu::all_aligned<N, T>({&x, &y, &dy, &dx}) &&
                             gpu::all_aligned<N, std::uint8_t>({&argmax}) &&
                             gpu::constants_aligned<N>(gradient);
    const gpu::PooledSlope<T> pooled{axes, y.data<T>(), dy.data<T>(), argmax.data<std::uint8_t>()};
    gpu::sum_columns(gpu::raw(stream), "batch_norm_relu_max_pool_backward",
                     gpu::PooledGradientSums<T>{pooled, x.data<T>(), saved_mean.data<float>()},
                     gpu::store_of(gradient), 1, values, axes.channels, all_aligned,
                     gpu::floats_of(stream));
    const gpu::PooledGradientData<T> data{pooled, x.data<T>(), dx.data<T>(),
                                          gpu::slope_of<N>(gradient, values)};
    gpu::map_columns(gpu::raw(stream), "batch_norm_relu_max_pool_backward", data, 1, values,
                     axes.channels, all_aligned);
  });
}

}  // namespace lockstep
