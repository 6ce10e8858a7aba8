// The steps that batch norm has in common in all its forms: alone, with a ReLU, with a pooling.
#pragma once

#include "kernels/backend.h"
#include "kernels/cpu/vector_kernels.h"

namespace lockstep::cpu {

struct BatchNormMoments {
  Tensor &mean, &inv_std;        // kept for backward
  Tensor &stat_mean, &stat_var;  // leaves of the running statistics' tree
};

// All moments of x, and factors = gamma · inv_std. False: there is nothing to normalise. Throws
// where there is one value a channel.
bool batch_norm_moments(const VectorKernels& kernels, const BatchNormOptions& options,
                        const Tensor& x, const Tensor& gamma, const Tensor& beta,
                        const BatchNormMoments& moments, float* factors);

// factors = gamma / sqrt(running_var + epsilon)
void batch_norm_factors(const BatchNormOptions& options, const Tensor& x, const Tensor& gamma,
                        const Tensor& beta, const Tensor& running_mean, const Tensor& running_var,
                        float* factors);

struct BatchNormGradient {
  const Tensor &gamma, &mean, &inv_std;
  Tensor &dgamma, &dbeta;
};
void check_gradient(const BatchNormGradient& gradient, std::int64_t channels);

struct BatchNormSlope {  // dx = a dy - (b + c (x - mean))
  float *a, *b, *c;
};
// From dgamma = Σ dy (x - mean) and dbeta = Σ dy over `values`; memory: 3 · channels floats.
BatchNormSlope finish_gradient(const BatchNormGradient& gradient, std::int64_t channels,
                               std::int64_t values, float* memory);

}  // namespace lockstep::cpu
