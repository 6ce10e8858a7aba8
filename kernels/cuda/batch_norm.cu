// Batch norm alone: moments, the affine map, and its two passes backward. A thread's moments are
// sums of differences from the first value that it sees, and are joined by Chan's formula: Σx² -
// (Σx)² loses every digit where the mean is large against the spread.
#include "kernels/cuda/batch_norm.h"

namespace lockstep {

namespace gpu {
namespace {

template <typename T>
struct Moments {  // of a channel: mean, Σ (x - mean)²
  static constexpr int kPack = gpu::kPack<T>, kSums = 2;
  const T* x;
  bool started = false;
  float first[kPack] = {}, sum[kPack] = {}, squares[kPack] = {};

  __device__ void begin(std::int64_t, std::int64_t, std::int64_t, bool) {}
  __device__ void add(std::int64_t, std::int64_t offset, std::int64_t count, bool whole) {
    float values[kPack];
    load_some<kPack>(x + offset, count, whole, values);
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      if (!started) first[i] = values[i];
      const float d = values[i] - first[i];
      sum[i] += d;
      squares[i] = fmaf(d, d, squares[i]);
    }
    started = true;
  }
  __device__ void result(float (&sums)[kSums][kPack], float rows) const {
    if (rows == 0) return;
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      const float shift = sum[i] / rows;
      sums[0][i] = first[i] + shift;
      const float moment = fmaf(-shift, sum[i], squares[i]);
      sums[1][i] = moment < 0.0f ? 0.0f : moment;
    }
  }
  // Chan, Golub and LeVeque 1979
  __device__ static void merge(float (&a)[kSums], float na, const float (&b)[kSums], float nb) {
    if (nb == 0) return;
    const float delta = b[0] - a[0], share = nb / (na + nb);
    a[0] = na == 0 ? b[0] : fmaf(delta, share, a[0]);
    a[1] = na == 0 ? b[1] : fmaf(delta * delta, na * share, a[1] + b[1]);
  }
};

struct StoreMoments {
  float *mean, *inv_std, *stat_mean, *stat_var;
  float values, rows, epsilon;
  __device__ void operator()(std::int64_t, std::int64_t channel, const float (&sums)[2]) const {
    mean[channel] = sums[0];
    inv_std[channel] = 1.0f / sqrtf(sums[1] / values + epsilon);
    stat_mean[channel] = rows * sums[0];
    stat_var[channel] = rows * (sums[1] / (values - 1.0f));
  }
};

template <typename T>
struct Normalise {
  static constexpr int kPack = gpu::kPack<T>;
  const T* x;
  T* y;
  BatchNormAffine<kPack> affine;

  __device__ void begin(std::int64_t, std::int64_t channel, std::int64_t count, bool whole) {
    affine.begin(channel, count, whole);
  }
  __device__ void at(std::int64_t, std::int64_t offset, std::int64_t count, bool whole) const {
    float values[kPack];
    load_some<kPack>(x + offset, count, whole, values);
#pragma unroll
    for (int i = 0; i < kPack; ++i) values[i] = affine(i, values[i]);
    store_some<kPack>(y + offset, count, whole, values);
  }
};

template <typename T>
struct GradientSums {  // Σ dy, Σ dy (x - mean)
  static constexpr int kPack = gpu::kPack<T>, kSums = 2;
  const T *x, *dy;
  const float* mean;
  float centre[kPack] = {}, total[kPack] = {}, total_x[kPack] = {};

  __device__ void begin(std::int64_t, std::int64_t channel, std::int64_t count, bool whole) {
    load_some<kPack>(mean + channel, count, whole, centre);
  }
  __device__ void add(std::int64_t, std::int64_t offset, std::int64_t count, bool whole) {
    float values[kPack], slopes[kPack];
    load_some<kPack>(x + offset, count, whole, values);
    load_some<kPack>(dy + offset, count, whole, slopes);
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
struct GradientData {
  static constexpr int kPack = gpu::kPack<T>;
  const T *x, *dy;
  T* dx;
  BatchNormSlope<kPack> slope;

  __device__ void begin(std::int64_t, std::int64_t channel, std::int64_t count, bool whole) {
    slope.begin(channel, count, whole);
  }
  __device__ void at(std::int64_t, std::int64_t offset, std::int64_t count, bool whole) const {
    float values[kPack], slopes[kPack];
    load_some<kPack>(x + offset, count, whole, values);
    load_some<kPack>(dy + offset, count, whole, slopes);
#pragma unroll
    for (int i = 0; i < kPack; ++i) values[i] = slope(i, values[i], slopes[i]);
    store_some<kPack>(dx + offset, count, whole, values);
  }
};

template <typename T>
void normalise(Stream& stream, const char* name, const Tensor& x,
               const BatchNormAffine<kPack<T>>& affine, bool constants_aligned, Tensor& y) {
  constexpr int N = kPack<T>;
  const std::int64_t channels = x.shape().back();
  map_columns(raw(stream), name, Normalise<T>{x.data<T>(), y.data<T>(), affine}, 1,
              x.elements() / channels, channels, constants_aligned && all_aligned<N, T>({&x, &y}));
}

}  // namespace

void check_channels(std::initializer_list<const Tensor*> tensors, std::int64_t channels) {
  for (const Tensor* tensor : tensors)
    check_count(*tensor, channels, "a tensor of one value a channel");
}

bool no_values(Stream& stream, const Tensor& x, const BatchNormGradient& gradient) {
  if (x.elements() > 0) return false;
  for (Tensor* tensor : {&gradient.dgamma, &gradient.dbeta})
    set_bytes(tensor->raw(), 0, tensor->bytes(), raw(stream));
  return true;
}

bool batch_norm_moments(Stream& stream, const BatchNormOptions& options, const Tensor& x,
                        const Tensor& gamma, const Tensor& beta, const BatchNormMoments& moments) {
  const std::int64_t channels = x.shape().back();
  check_channels(
      {&gamma, &beta, &moments.mean, &moments.inv_std, &moments.stat_mean, &moments.stat_var},
      channels);
  if (channels == 0) return false;
  const std::int64_t values = x.elements() / channels;
  if (values == 0) {  // an empty shard adds nothing
    for (Tensor* tensor : {&moments.mean, &moments.inv_std, &moments.stat_mean, &moments.stat_var})
      set_bytes(tensor->raw(), 0, tensor->bytes(), raw(stream));
    return false;
  }
  if (values < 2)
    throw Error(
        "batch norm got {} value a channel in a shard of shape {}, and one value has no variance; "
        "raise training.batch or lower run.shards",
        values, x.shape().to_string());
  const StoreMoments finish{moments.mean.data<float>(),
                            moments.inv_std.data<float>(),
                            moments.stat_mean.data<float>(),
                            moments.stat_var.data<float>(),
                            static_cast<float>(values),
                            static_cast<float>(x.rows()),
                            options.epsilon};
  for_element_type(x, "x", [&]<typename T>(T) {
    sum_columns(raw(stream), "batch_norm_moments", Moments<T>{x.data<T>()}, finish, 1, values,
                channels, all_aligned<kPack<T>, T>({&x}), floats_of(stream));
  });
  return true;
}

}  // namespace gpu

void CudaBackend::batch_norm_forward(Stream& stream, const BatchNormOptions& options,
                                     const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                     Tensor& y, Tensor& saved_mean, Tensor& saved_inv_std,
                                     Tensor& stat_mean, Tensor& stat_var) {
  gpu::check_like(y, x, "y");
  if (!gpu::batch_norm_moments(stream, options, x, gamma, beta,
                               {saved_mean, saved_inv_std, stat_mean, stat_var}))
    return;
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    constexpr int N = gpu::kPack<T>;
    gpu::normalise<T>(stream, "batch_norm_forward", x,
                      gpu::training_affine<N>(saved_mean, saved_inv_std, gamma, beta),
                      gpu::all_aligned<N, float>({&saved_mean, &saved_inv_std, &gamma, &beta}), y);
  });
}

void CudaBackend::batch_norm_inference(Stream& stream, const BatchNormOptions& options,
                                       const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                       const Tensor& running_mean, const Tensor& running_var,
                                       Tensor& y) {
  gpu::check_like(y, x, "y");
  gpu::check_channels({&gamma, &beta, &running_mean, &running_var}, x.shape().back());
  if (x.elements() == 0) return;
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    constexpr int N = gpu::kPack<T>;
    gpu::normalise<T>(stream, "batch_norm_inference", x,
                      gpu::inference_affine<N>(options, running_mean, running_var, gamma, beta),
                      gpu::all_aligned<N, float>({&running_mean, &running_var, &gamma, &beta}), y);
  });
}

void CudaBackend::batch_norm_backward(Stream& stream, const Tensor& x, const Tensor& dy,
                                      const Tensor& gamma, const Tensor& saved_mean,
                                      const Tensor& saved_inv_std, Tensor& dgamma, Tensor& dbeta,
                                      Tensor& dx) {
  const std::int64_t channels = x.shape().back();
  gpu::check_like(dy, x, "dy");
  if (dx.defined()) gpu::check_like(dx, x, "dx");
  const gpu::BatchNormGradient gradient{gamma, saved_mean, saved_inv_std, dgamma, dbeta};
  gpu::check_gradient(gradient, channels);
  if (gpu::no_values(stream, x, gradient)) return;
  const std::int64_t values = x.elements() / channels;
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    constexpr int N = gpu::kPack<T>;
    const bool tensors_aligned = gpu::all_aligned<N, T>({&x, &dy, &dx});
    gpu::sum_columns(gpu::raw(stream), "batch_norm_backward",
                     gpu::GradientSums<T>{x.data<T>(), dy.data<T>(), saved_mean.data<float>()},
                     gpu::store_of(gradient), 1, values, channels,
                     tensors_aligned && gpu::all_aligned<N, float>({&saved_mean}),
                     gpu::floats_of(stream));
    if (!dx.defined()) return;
    gpu::map_columns(gpu::raw(stream), "batch_norm_backward",
                     gpu::GradientData<T>{x.data<T>(), dy.data<T>(), dx.data<T>(),
                                          gpu::slope_of<N>(gradient, values)},
                     1, values, channels, tensors_aligned && gpu::constants_aligned<N>(gradient));
  });
}

}  // namespace lockstep
