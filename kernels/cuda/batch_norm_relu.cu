// Batch norm with a residual and a ReLU behind it. A thread holds 8 channels, whose bits are a byte
// of the mask.
#include "kernels/cuda/batch_norm.h"

namespace lockstep {

namespace gpu {
namespace {

constexpr int kPackOfMask = 8;

// Of the byte that holds the bits of 8 channels of a row.
__device__ __forceinline__ std::int64_t mask_offset(std::int64_t row, std::int64_t channel,
                                                    std::int64_t channels) {
  return row * ((channels + 15) / 16 * 2) + channel / 8;
}

template <typename T>
struct NormaliseRelu {
  static constexpr int kPack = kPackOfMask;
  const T *x, *residual;
  T* y;
  std::uint8_t* mask;
  std::int64_t channels;
  BatchNormAffine<kPack> affine;
  std::int64_t first_channel = 0;

  __device__ void begin(std::int64_t, std::int64_t channel, std::int64_t count, bool whole) {
    first_channel = channel;
    affine.begin(channel, count, whole);
  }
  __device__ void at(std::int64_t row, std::int64_t offset, std::int64_t count, bool whole) const {
    float values[kPack], added[kPack] = {};
    load_some<kPack>(x + offset, count, whole, values);
    if (residual != nullptr) load_some<kPack>(residual + offset, count, whole, added);
    unsigned bits = 0;
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      float value = affine(i, values[i]);
      if (residual != nullptr) value += added[i];
      // As the activation has it: a NaN passes, and so does its gradient.
      if (i < count && !(value <= 0.0f)) bits |= 1u << i;
      values[i] = value < 0.0f ? 0.0f : value;
    }
    store_some<kPack>(y + offset, count, whole, values);
    if (mask == nullptr) return;
    std::uint8_t* const place = mask + mask_offset(row, first_channel, channels);
    place[0] = static_cast<std::uint8_t>(bits);
    // The mask's rows are whole pairs of bytes.
    if (first_channel + kPack >= channels && first_channel / kPack % 2 == 0) place[1] = 0;
  }
};

// dy where the ReLU passes it.
template <typename T>
__device__ __forceinline__ void load_passing(const T* dy, const std::uint8_t* mask,
                                             std::int64_t row, std::int64_t channel,
                                             std::int64_t channels, std::int64_t count, bool whole,
                                             float (&slopes)[kPackOfMask]) {
  load_some<kPackOfMask>(dy + row * channels + channel, count, whole, slopes);
  const unsigned bits = mask[mask_offset(row, channel, channels)];
#pragma unroll
  for (int i = 0; i < kPackOfMask; ++i)
    if ((bits >> i & 1) == 0) slopes[i] = 0.0f;
}

template <typename T>
struct ReluGradientSums {
  static constexpr int kPack = kPackOfMask, kSums = 2;
  const T *x, *dy;
  const std::uint8_t* mask;
  const float* mean;
  std::int64_t channels;
  std::int64_t first_channel = 0;
  float centre[kPack] = {}, total[kPack] = {}, total_x[kPack] = {};

  __device__ void begin(std::int64_t, std::int64_t channel, std::int64_t count, bool whole) {
    first_channel = channel;
    load_some<kPack>(mean + channel, count, whole, centre);
  }
  __device__ void add(std::int64_t row, std::int64_t offset, std::int64_t count, bool whole) {
    float values[kPack], slopes[kPack];
    load_some<kPack>(x + offset, count, whole, values);
    load_passing(dy, mask, row, first_channel, channels, count, whole, slopes);
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
struct ReluGradientData {
  static constexpr int kPack = kPackOfMask;
  const T *x, *dy;
  const std::uint8_t* mask;
  T *dx, *dresidual;
  std::int64_t channels;
  BatchNormSlope<kPack> slope;
  std::int64_t first_channel = 0;

  __device__ void begin(std::int64_t, std::int64_t channel, std::int64_t count, bool whole) {
    first_channel = channel;
    slope.begin(channel, count, whole);
  }
  __device__ void at(std::int64_t row, std::int64_t offset, std::int64_t count, bool whole) const {
    float values[kPack], slopes[kPack];
    load_some<kPack>(x + offset, count, whole, values);
    load_passing(dy, mask, row, first_channel, channels, count, whole, slopes);
#pragma unroll
    for (int i = 0; i < kPack; ++i) values[i] = slope(i, values[i], slopes[i]);
    store_some<kPack>(dx + offset, count, whole, values);
    if (dresidual != nullptr) store_some<kPack>(dresidual + offset, count, whole, slopes);
  }
};

std::uint8_t* mask_of(const Tensor& mask, const Tensor& x) {
  const std::int64_t channels = x.shape().back();
  LOCKSTEP_CHECK(mask.defined() && mask.dtype() == DType::kUInt8 &&
                     mask.elements() * channels == x.elements() * relu_mask_bytes(channels),
                 "batch norm: a mask of shape {} for x of shape {}", mask.shape().to_string(),
                 x.shape().to_string());
  return mask.data<std::uint8_t>();
}

void normalise_relu(Stream& stream, const char* name, const Tensor& x, const Tensor& residual,
                    const BatchNormAffine<kPackOfMask>& affine, bool constants_aligned, Tensor& y,
                    std::uint8_t* mask) {
  constexpr int N = kPackOfMask;
  const std::int64_t channels = x.shape().back();
  for_element_type(x, "x", [&]<typename T>(T) {
    const NormaliseRelu<T> map{.x = x.data<T>(),
                               .residual = optional_data<T>(residual),
                               .y = y.data<T>(),
                               .mask = mask,
                               .channels = channels,
                               .affine = affine};
    map_columns(raw(stream), name, map, 1, x.elements() / channels, channels,
                constants_aligned && all_aligned<N, T>({&x, &residual, &y}));
  });
}

}  // namespace
}  // namespace gpu

void CudaBackend::batch_norm_relu_forward(Stream& stream, const BatchNormOptions& options,
                                          const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                          const Tensor& residual, Tensor& y, Tensor& mask,
                                          Tensor& saved_mean, Tensor& saved_inv_std,
                                          Tensor& stat_mean, Tensor& stat_var) {
  constexpr int N = gpu::kPackOfMask;
  gpu::check_like(y, x, "y");
  if (residual.defined()) gpu::check_like(residual, x, "residual");
  std::uint8_t* const bits = gpu::mask_of(mask, x);
  if (!gpu::batch_norm_moments(stream, options, x, gamma, beta,
                               {saved_mean, saved_inv_std, stat_mean, stat_var}))
    return;
  gpu::normalise_relu(stream, "batch_norm_relu_forward", x, residual,
                      gpu::training_affine<N>(saved_mean, saved_inv_std, gamma, beta),
                      gpu::all_aligned<N, float>({&saved_mean, &saved_inv_std, &gamma, &beta}), y,
                      bits);
}

void CudaBackend::batch_norm_relu_inference(Stream& stream, const BatchNormOptions& options,
                                            const Tensor& x, const Tensor& gamma,
                                            const Tensor& beta, const Tensor& running_mean,
                                            const Tensor& running_var, const Tensor& residual,
                                            Tensor& y) {
  constexpr int N = gpu::kPackOfMask;
  gpu::check_like(y, x, "y");
  if (residual.defined()) gpu::check_like(residual, x, "residual");
  gpu::check_channels({&gamma, &beta, &running_mean, &running_var}, x.shape().back());
  if (x.elements() == 0) return;
  gpu::normalise_relu(stream, "batch_norm_relu_inference", x, residual,
                      gpu::inference_affine<N>(options, running_mean, running_var, gamma, beta),
                      gpu::all_aligned<N, float>({&running_mean, &running_var, &gamma, &beta}), y,
                      nullptr);
}

void CudaBackend::batch_norm_relu_backward(Stream& stream, const Tensor& x, const Tensor& dy,
                                           const Tensor& mask, const Tensor& gamma,
                                           const Tensor& saved_mean, const Tensor& saved_inv_std,
                                           Tensor& dgamma, Tensor& dbeta, Tensor& dx,
                                           Tensor& dresidual) {
  constexpr int N = gpu::kPackOfMask;
  const std::int64_t channels = x.shape().back();
  gpu::check_like(dy, x, "dy");
  gpu::check_like(dx, x, "dx");
  if (dresidual.defined()) gpu::check_like(dresidual, x, "dresidual");
  const gpu::BatchNormGradient gradient{gamma, saved_mean, saved_inv_std, dgamma, dbeta};
  gpu::check_gradient(gradient, channels);
  const std::uint8_t* const bits = gpu::mask_of(mask, x);
  if (gpu::no_values(stream, x, gradient)) return;
  const std::int64_t values = x.elements() / channels;
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    const bool tensors_aligned =
        gpu::all_aligned<N, T>({&x, &dy, &dx, &dresidual}) && gpu::constants_aligned<N>(gradient);
    const gpu::ReluGradientSums<T> sums{.x = x.data<T>(),
                                        .dy = dy.data<T>(),
                                        .mask = bits,
                                        .mean = saved_mean.data<float>(),
                                        .channels = channels};
    gpu::sum_columns(gpu::raw(stream), "batch_norm_relu_backward", sums, gpu::store_of(gradient), 1,
                     values, channels, tensors_aligned, gpu::floats_of(stream));
    const gpu::ReluGradientData<T> data{.x = x.data<T>(),
                                        .dy = dy.data<T>(),
                                        .mask = bits,
                                        .dx = dx.data<T>(),
                                        .dresidual = gpu::optional_data<T>(dresidual),
                                        .channels = channels,
                                        .slope = gpu::slope_of<N>(gradient, values)};
    gpu::map_columns(gpu::raw(stream), "batch_norm_relu_backward", data, 1, values, channels,
                     tensors_aligned);
  });
}

}  // namespace lockstep
