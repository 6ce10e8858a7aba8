// Batch norm on the CPU back end, alone and with a residual and a ReLU behind it. Mean and variance
// come run by run from centred values: Σx² - (Σx)² loses every digit where the mean is large
// against the spread.
#include <cmath>

#include "kernels/cpu/backend_impl.h"
#include "kernels/cpu/batch_norm.h"
#include "kernels/cpu/checks.h"
#include "kernels/cpu/vector_kernels.h"

namespace lockstep {

using cpu::BatchNormGradient;
using cpu::BatchNormMoments;

namespace cpu {

bool batch_norm_moments(const VectorKernels& kernels, const BatchNormOptions& options,
                        const Tensor& x, const Tensor& gamma, const Tensor& beta,
                        const BatchNormMoments& moments, float* factors) {
  const std::int64_t channels = x.shape().back();
  for (const Tensor* tensor : std::initializer_list<const Tensor*>{
           &gamma, &beta, &moments.mean, &moments.inv_std, &moments.stat_mean, &moments.stat_var})
    check_count(*tensor, channels, "a tensor of one value a channel");
  if (channels == 0) return false;
  const std::int64_t values = x.elements() / channels;
  if (values == 0) {  // an empty shard adds nothing
    for (Tensor* tensor : {&moments.mean, &moments.inv_std, &moments.stat_mean, &moments.stat_var})
      kernels.elementwise.fill(0.0f, tensor->data<float>(), channels);
    return false;
  }
  if (values < 2)
    throw Error(
        "batch norm got {} value a channel in a shard of shape {}, and one value has no variance; "
        "raise training.batch or lower run.shards",
        values, x.shape().to_string());

  float *mean = moments.mean.data<float>(), *inv_std = moments.inv_std.data<float>();
  float *stat_mean = moments.stat_mean.data<float>(), *squares = moments.stat_var.data<float>();
  kernels.batch_norm.moments(x.data<float>(), values, channels, mean, squares);
  const auto count = static_cast<float>(values), rows = static_cast<float>(x.rows());
  for (std::int64_t c = 0; c < channels; ++c) {
    inv_std[c] = 1.0f / std::sqrt(squares[c] / count + options.epsilon);
    factors[c] = gamma.data<float>()[c] * inv_std[c];
    stat_mean[c] = rows * mean[c];
    squares[c] = rows * (squares[c] / (count - 1.0f));
  }
  return true;
}

void batch_norm_factors(const BatchNormOptions& options, const Tensor& x, const Tensor& gamma,
                        const Tensor& beta, const Tensor& running_mean, const Tensor& running_var,
                        float* factors) {
  const std::int64_t channels = x.shape().back();
  for (const Tensor* tensor : {&gamma, &beta, &running_mean, &running_var})
    check_count(*tensor, channels, "a tensor of one value a channel");
  for (std::int64_t c = 0; c < channels; ++c)
    factors[c] = gamma.data<float>()[c] / std::sqrt(running_var.data<float>()[c] + options.epsilon);
}

void check_gradient(const BatchNormGradient& gradient, std::int64_t channels) {
  for (const Tensor* tensor : std::initializer_list<const Tensor*>{
           &gradient.gamma, &gradient.mean, &gradient.inv_std, &gradient.dgamma, &gradient.dbeta})
    check_count(*tensor, channels, "a tensor of one value a channel");
}

// With x̂ = (x - mean) inv_std over M values: dgamma = Σ dy x̂, dbeta = Σ dy,
// dx = gamma inv_std (dy - dbeta / M - x̂ dgamma / M)     (Ioffe and Szegedy 2015, section 3)
BatchNormSlope finish_gradient(const BatchNormGradient& gradient, std::int64_t channels,
                               std::int64_t values, float* memory) {
  const BatchNormSlope slope{memory, memory + channels, memory + 2 * channels};
  float *dgamma = gradient.dgamma.data<float>(), *dbeta = gradient.dbeta.data<float>();
  const auto count = static_cast<float>(values);
  for (std::int64_t c = 0; c < channels; ++c) {
    const float inv_std = gradient.inv_std.data<float>()[c];
    dgamma[c] *= inv_std;
    slope.a[c] = gradient.gamma.data<float>()[c] * inv_std;
    slope.b[c] = slope.a[c] * (dbeta[c] / count);
    slope.c[c] = slope.a[c] * (inv_std * (dgamma[c] / count));
  }
  return slope;
}

}  // namespace cpu

namespace {

// relu_mask_bytes for each vector of channels.
std::uint8_t* mask_of(const Tensor& mask, const Tensor& x) {
  const std::int64_t channels = x.shape().back();
  LOCKSTEP_CHECK(mask.defined() && mask.dtype() == DType::kUInt8 &&
                     mask.elements() * channels == x.elements() * relu_mask_bytes(channels),
                 "batch norm: a mask of shape {} for x of shape {}", mask.shape().to_string(),
                 x.shape().to_string());
  return mask.data<std::uint8_t>();
}

const float* residual_of(const Tensor& residual, const Tensor& x) {
  if (!residual.defined()) return nullptr;
  cpu::check_shape(residual, x.shape(), "residual");
  return residual.data<float>();
}

}  // namespace

void CpuBackend::batch_norm_forward(Stream& stream, const BatchNormOptions& options,
                                    const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                    Tensor& y, Tensor& saved_mean, Tensor& saved_inv_std,
                                    Tensor& stat_mean, Tensor& stat_var) {
  const std::int64_t channels = x.shape().back();
  cpu::check_shape(y, x.shape(), "y");
  float* factors = cpu::float_workspace(stream, channels);
  if (!cpu::batch_norm_moments(vector_, options, x, gamma, beta,
                               {saved_mean, saved_inv_std, stat_mean, stat_var}, factors))
    return;
  vector_.norm.affine(x.data<float>(), saved_mean.data<float>(), factors, beta.data<float>(),
                      x.elements() / channels, channels, y.data<float>());
}

void CpuBackend::batch_norm_relu_forward(Stream& stream, const BatchNormOptions& options,
                                         const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                         const Tensor& residual, Tensor& y, Tensor& mask,
                                         Tensor& saved_mean, Tensor& saved_inv_std,
                                         Tensor& stat_mean, Tensor& stat_var) {
  const std::int64_t channels = x.shape().back();
  cpu::check_shape(y, x.shape(), "y");
  std::uint8_t* const bits = mask_of(mask, x);
  const float* const added = residual_of(residual, x);
  float* factors = cpu::float_workspace(stream, channels);
  if (!cpu::batch_norm_moments(vector_, options, x, gamma, beta,
                               {saved_mean, saved_inv_std, stat_mean, stat_var}, factors))
    return;
  vector_.batch_norm.relu_forward(x.data<float>(), saved_mean.data<float>(), factors,
                                  beta.data<float>(), added, x.elements() / channels, channels,
                                  y.data<float>(), bits);
}

void CpuBackend::batch_norm_inference(Stream& stream, const BatchNormOptions& options,
                                      const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                      const Tensor& running_mean, const Tensor& running_var,
                                      Tensor& y) {
  const std::int64_t channels = x.shape().back();
  cpu::check_shape(y, x.shape(), "y");
  if (channels == 0) return;
  float* factors = cpu::float_workspace(stream, channels);
  cpu::batch_norm_factors(options, x, gamma, beta, running_mean, running_var, factors);
  vector_.norm.affine(x.data<float>(), running_mean.data<float>(), factors, beta.data<float>(),
                      x.elements() / channels, channels, y.data<float>());
}

void CpuBackend::batch_norm_relu_inference(Stream& stream, const BatchNormOptions& options,
                                           const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                           const Tensor& running_mean, const Tensor& running_var,
                                           const Tensor& residual, Tensor& y) {
  const std::int64_t channels = x.shape().back();
  cpu::check_shape(y, x.shape(), "y");
  const float* const added = residual_of(residual, x);
  if (channels == 0) return;
  float* factors = cpu::float_workspace(stream, channels);
  cpu::batch_norm_factors(options, x, gamma, beta, running_mean, running_var, factors);
  vector_.batch_norm.relu_forward(x.data<float>(), running_mean.data<float>(), factors,
                                  beta.data<float>(), added, x.elements() / channels, channels,
                                  y.data<float>(), nullptr);
}

void CpuBackend::batch_norm_backward(Stream& stream, const Tensor& x, const Tensor& dy,
                                     const Tensor& gamma, const Tensor& saved_mean,
                                     const Tensor& saved_inv_std, Tensor& dgamma, Tensor& dbeta,
                                     Tensor& dx) {
  const std::int64_t channels = x.shape().back();
  cpu::check_shape(dy, x.shape(), "dy");
  const BatchNormGradient gradient{gamma, saved_mean, saved_inv_std, dgamma, dbeta};
  cpu::check_gradient(gradient, channels);
  if (channels == 0) return;
  const std::int64_t values = x.elements() / channels;
  const float* mean = saved_mean.data<float>();
  vector_.norm.gradient_sums(x.data<float>(), dy.data<float>(), mean, values, channels,
                             dbeta.data<float>(), dgamma.data<float>());
  const auto slope =
      cpu::finish_gradient(gradient, channels, values, cpu::float_workspace(stream, 3 * channels));
  if (!dx.defined()) return;
  cpu::check_shape(dx, x.shape(), "dx");
  vector_.norm.gradient_data(x.data<float>(), dy.data<float>(), mean, slope.a, slope.b, slope.c,
                             values, channels, dx.data<float>());
}

void CpuBackend::batch_norm_relu_backward(Stream& stream, const Tensor& x, const Tensor& dy,
                                          const Tensor& mask, const Tensor& gamma,
                                          const Tensor& saved_mean, const Tensor& saved_inv_std,
                                          Tensor& dgamma, Tensor& dbeta, Tensor& dx,
                                          Tensor& dresidual) {
  const std::int64_t channels = x.shape().back();
  cpu::check_shape(dy, x.shape(), "dy");
  cpu::check_shape(dx, x.shape(), "dx");
  if (dresidual.defined()) cpu::check_shape(dresidual, x.shape(), "dresidual");
  const BatchNormGradient gradient{gamma, saved_mean, saved_inv_std, dgamma, dbeta};
  cpu::check_gradient(gradient, channels);
  const std::uint8_t* const bits = mask_of(mask, x);
  if (channels == 0) return;
  const std::int64_t values = x.elements() / channels;
  const float* mean = saved_mean.data<float>();
  vector_.batch_norm.relu_gradient_sums(x.data<float>(), dy.data<float>(), bits, mean, values,
                                        channels, dbeta.data<float>(), dgamma.data<float>());
  const auto slope =
      cpu::finish_gradient(gradient, channels, values, cpu::float_workspace(stream, 3 * channels));
  vector_.batch_norm.relu_gradient_data(x.data<float>(), dy.data<float>(), bits, mean, slope.a,
                                        slope.b, slope.c, values, channels, dx.data<float>(),
                                        dresidual.defined() ? dresidual.data<float>() : nullptr);
}

}  // namespace lockstep
