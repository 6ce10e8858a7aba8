// The parts that batch norm has in common in all its forms: alone, with a ReLU, with a pooling.
#pragma once

#include "kernels/cuda/checks.h"
#include "kernels/cuda/columns.h"

namespace lockstep::gpu {

struct BatchNormMoments {
  Tensor &mean, &inv_std;        // kept for backward
  Tensor &stat_mean, &stat_var;  // leaves of the running statistics' tree
};

// All moments of x. False: there is nothing to normalise. Throws where there is one value a
// channel.
bool batch_norm_moments(Stream& stream, const BatchNormOptions& options, const Tensor& x,
                        const Tensor& gamma, const Tensor& beta, const BatchNormMoments& moments);

// y = (x - mean) · factor + beta, factor = gamma · inv_std; for inference inv_std comes from the
// running variance.
template <int N>
struct BatchNormAffine {
  const float *mean, *inv_std, *variance, *gamma, *beta;  // inv_std or variance is null
  float epsilon;
  float centre[N] = {}, factor[N] = {}, shift[N] = {};

  __device__ void begin(std::int64_t channel, std::int64_t count, bool whole) {
    load_some<N>(mean + channel, count, whole, centre);
    load_some<N>((variance != nullptr ? variance : inv_std) + channel, count, whole, factor);
    load_some<N>(gamma + channel, count, whole, shift);
#pragma unroll
    for (int i = 0; i < N; ++i)
      factor[i] =
          variance != nullptr ? shift[i] / sqrtf(factor[i] + epsilon) : shift[i] * factor[i];
    load_some<N>(beta + channel, count, whole, shift);
  }
  __device__ float operator()(int i, float x) const {
    return fmaf(x - centre[i], factor[i], shift[i]);
  }
};

template <int N>
BatchNormAffine<N> training_affine(const Tensor& mean, const Tensor& inv_std, const Tensor& gamma,
                                   const Tensor& beta) {
  return {mean.data<float>(),  inv_std.data<float>(), nullptr,
          gamma.data<float>(), beta.data<float>(),    0};
}

template <int N>
BatchNormAffine<N> inference_affine(const BatchNormOptions& options, const Tensor& mean,
                                    const Tensor& variance, const Tensor& gamma,
                                    const Tensor& beta) {
  return {mean.data<float>(), nullptr,        variance.data<float>(), gamma.data<float>(),
          beta.data<float>(), options.epsilon};
}

// Throws where one of them has not a value a channel.
void check_channels(std::initializer_list<const Tensor*> tensors, std::int64_t channels);

struct BatchNormGradient {
  const Tensor &gamma, &mean, &inv_std;
  Tensor &dgamma, &dbeta;
};
inline void check_gradient(const BatchNormGradient& g, std::int64_t channels) {
  check_channels({&g.gamma, &g.mean, &g.inv_std, &g.dgamma, &g.dbeta}, channels);
}

// Receives Σ dy and Σ dy (x - mean) of a channel: the end of every sum of gradients.
struct StoreGradient {
  const float* inv_std;
  float *dgamma, *dbeta;
  __device__ void operator()(std::int64_t, std::int64_t channel, const float (&sums)[2]) const {
    dbeta[channel] = sums[0];
    dgamma[channel] = sums[1] * inv_std[channel];
  }
};

// With x̂ = (x - mean) inv_std over M values: dgamma = Σ dy x̂, dbeta = Σ dy,
// dx = gamma inv_std (dy - dbeta / M - x̂ dgamma / M)     (Ioffe and Szegedy 2015, section 3)
template <int N>
struct BatchNormSlope {
  const float *gamma, *mean, *inv_std, *dgamma, *dbeta;
  float values;  // M
  float centre[N] = {}, a[N] = {}, b[N] = {}, c[N] = {};

  __device__ void begin(std::int64_t channel, std::int64_t count, bool whole) {
    float inverse[N] = {};
    load_some<N>(mean + channel, count, whole, centre);
    load_some<N>(inv_std + channel, count, whole, inverse);
    load_some<N>(gamma + channel, count, whole, a);
    load_some<N>(dbeta + channel, count, whole, b);
    load_some<N>(dgamma + channel, count, whole, c);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      a[i] *= inverse[i];
      b[i] = a[i] * (b[i] / values);
      c[i] = a[i] * (inverse[i] * (c[i] / values));
    }
  }
  __device__ float operator()(int i, float x, float dy) const {
    return a[i] * dy - fmaf(x - centre[i], c[i], b[i]);
  }
};

template <int N>
BatchNormSlope<N> slope_of(const BatchNormGradient& gradient, std::int64_t values) {
  return {.gamma = gradient.gamma.data<float>(),
          .mean = gradient.mean.data<float>(),
          .inv_std = gradient.inv_std.data<float>(),
          .dgamma = gradient.dgamma.data<float>(),
          .dbeta = gradient.dbeta.data<float>(),
          .values = static_cast<float>(values)};
}

inline StoreGradient store_of(const BatchNormGradient& gradient) {
  return {gradient.inv_std.data<float>(), gradient.dgamma.data<float>(),
          gradient.dbeta.data<float>()};
}

template <int N>
bool constants_aligned(const BatchNormGradient& g) {
  return all_aligned<N, float>({&g.gamma, &g.mean, &g.inv_std, &g.dgamma, &g.dbeta});
}

// Whether x holds nothing, in which case the gradients are zero.
bool no_values(Stream& stream, const Tensor& x, const BatchNormGradient& gradient);

}  // namespace lockstep::gpu
