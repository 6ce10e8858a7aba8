// Batch norm on the CPU back end. The mean comes first and the variance from centred values, in two
// passes: Σx² - (Σx)² loses every digit where the mean is large against the spread.
#include <cmath>

#include "kernels/cpu/backend_impl.h"
#include "kernels/cpu/checks.h"
#include "kernels/cpu/vector_kernels.h"

namespace lockstep {

void CpuBackend::batch_norm_forward(Stream& stream, const BatchNormOptions& options,
                                    const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                    Tensor& y, Tensor& saved_mean, Tensor& saved_inv_std,
                                    Tensor& stat_mean, Tensor& stat_var) {
  const std::int64_t channels = x.shape().back();
  cpu::check_shape(y, x.shape(), "y");
  for (const Tensor* tensor : std::initializer_list<const Tensor*>{
           &gamma, &beta, &saved_mean, &saved_inv_std, &stat_mean, &stat_var})
    cpu::check_count(*tensor, channels, "a tensor of one value a channel");
  if (channels == 0) return;
  const std::int64_t values = x.elements() / channels;
  if (values == 0) {  // an empty shard adds nothing
    for (Tensor* tensor : {&saved_mean, &saved_inv_std, &stat_mean, &stat_var})
      vector_.elementwise.fill(0.0f, tensor->data<float>(), channels);
    return;
  }
  if (values < 2)
    throw Error(
        "batch norm got {} value a channel in a shard of shape {}, and one value has no variance; "
        "raise training.batch or lower run.shards",
        values, x.shape().to_string());

  float* mean = saved_mean.data<float>();
  vector_.norm.column_sums(x.data<float>(), values, channels, mean);
  const auto count = static_cast<float>(values);
  for (std::int64_t c = 0; c < channels; ++c) mean[c] /= count;

  float* squares = cpu::float_workspace(stream, 2 * channels);
  float* factors = squares + channels;
  vector_.norm.centred_squares(x.data<float>(), mean, values, channels, squares);
  const auto rows = static_cast<float>(x.rows());
  for (std::int64_t c = 0; c < channels; ++c) {
    const float inv_std = 1.0f / std::sqrt(squares[c] / count + options.epsilon);
    saved_inv_std.data<float>()[c] = inv_std;
    factors[c] = gamma.data<float>()[c] * inv_std;
    stat_mean.data<float>()[c] = rows * mean[c];
    stat_var.data<float>()[c] = rows * (squares[c] / (count - 1.0f));
  }
  vector_.norm.affine(x.data<float>(), mean, factors, beta.data<float>(), values, channels,
                      y.data<float>());
}

void CpuBackend::batch_norm_inference(Stream& stream, const BatchNormOptions& options,
                                      const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                      const Tensor& running_mean, const Tensor& running_var,
                                      Tensor& y) {
  const std::int64_t channels = x.shape().back();
  cpu::check_shape(y, x.shape(), "y");
  for (const Tensor* tensor : {&gamma, &beta, &running_mean, &running_var})
    cpu::check_count(*tensor, channels, "a tensor of one value a channel");
  if (channels == 0) return;
  float* factors = cpu::float_workspace(stream, channels);
  for (std::int64_t c = 0; c < channels; ++c)
    factors[c] = gamma.data<float>()[c] / std::sqrt(running_var.data<float>()[c] + options.epsilon);
  vector_.norm.affine(x.data<float>(), running_mean.data<float>(), factors, beta.data<float>(),
                      x.elements() / channels, channels, y.data<float>());
}

// With x̂ = (x - mean) inv_std over M values: dgamma = Σ dy x̂, dbeta = Σ dy,
// dx = gamma inv_std (dy - dbeta / M - x̂ dgamma / M)     (Ioffe and Szegedy 2015, section 3)
void CpuBackend::batch_norm_backward(Stream& stream, const Tensor& x, const Tensor& dy,
                                     const Tensor& gamma, const Tensor& saved_mean,
                                     const Tensor& saved_inv_std, Tensor& dgamma, Tensor& dbeta,
                                     Tensor& dx) {
  const std::int64_t channels = x.shape().back();
  cpu::check_shape(dy, x.shape(), "dy");
  for (const Tensor* tensor :
       std::initializer_list<const Tensor*>{&gamma, &saved_mean, &saved_inv_std, &dgamma, &dbeta})
    cpu::check_count(*tensor, channels, "a tensor of one value a channel");
  if (channels == 0) return;
  const std::int64_t values = x.elements() / channels;
  const float* mean = saved_mean.data<float>();
  float *gradient_gamma = dgamma.data<float>(), *gradient_beta = dbeta.data<float>();
  vector_.norm.gradient_sums(x.data<float>(), dy.data<float>(), mean, values, channels,
                             gradient_beta, gradient_gamma);

  float* a = cpu::float_workspace(stream, 3 * channels);
  float *b = a + channels, *slope = b + channels;
  const auto count = static_cast<float>(values);
  for (std::int64_t c = 0; c < channels; ++c) {
    const float inv_std = saved_inv_std.data<float>()[c];
    gradient_gamma[c] *= inv_std;
    a[c] = gamma.data<float>()[c] * inv_std;
    b[c] = a[c] * (gradient_beta[c] / count);
    slope[c] = a[c] * (inv_std * (gradient_gamma[c] / count));
  }
  if (!dx.defined()) return;
  cpu::check_shape(dx, x.shape(), "dx");
  vector_.norm.gradient_data(x.data<float>(), dy.data<float>(), mean, a, b, slope, values, channels,
                             dx.data<float>());
}

}  // namespace lockstep
