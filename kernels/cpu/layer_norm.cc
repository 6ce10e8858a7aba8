// Layer norm on the CPU back end. The mean comes first and the variance from centred values.
#include "kernels/cpu/backend_impl.h"
#include "kernels/cpu/checks.h"
#include "kernels/cpu/vector_kernels.h"

namespace lockstep {

void CpuBackend::layer_norm_forward(Stream&, const LayerNormOptions& options, const Tensor& x,
                                    const Tensor& gamma, const Tensor& beta, Tensor& y,
                                    Tensor& saved_mean, Tensor& saved_inv_std) {
  const std::int64_t channels = x.shape().back();
  LOCKSTEP_CHECK(channels > 0, "layer norm of {}", x.shape().to_string());
  const std::int64_t rows = x.elements() / channels;
  cpu::check_shape(y, x.shape(), "y");
  cpu::check_count(gamma, channels, "gamma");
  cpu::check_count(beta, channels, "beta");
  cpu::check_count(saved_mean, rows, "saved_mean");
  cpu::check_count(saved_inv_std, rows, "saved_inv_std");
  vector_.layer_norm.forward(x.data<float>(), gamma.data<float>(), beta.data<float>(),
                             options.epsilon, rows, channels, y.data<float>(),
                             saved_mean.data<float>(), saved_inv_std.data<float>());
}

void CpuBackend::layer_norm_backward(Stream& stream, const Tensor& x, const Tensor& dy,
                                     const Tensor& gamma, const Tensor& saved_mean,
                                     const Tensor& saved_inv_std, Tensor& dgamma, Tensor& dbeta,
                                     Tensor& dx) {
  const std::int64_t channels = x.shape().back();
  LOCKSTEP_CHECK(channels > 0, "layer norm of {}", x.shape().to_string());
  const std::int64_t rows = x.elements() / channels;
  cpu::check_shape(dy, x.shape(), "dy");
  if (dx.defined()) cpu::check_shape(dx, x.shape(), "dx");
  for (const Tensor* tensor : std::initializer_list<const Tensor*>{&gamma, &dgamma, &dbeta})
    cpu::check_count(*tensor, channels, "a tensor of one value a channel");
  cpu::check_count(saved_mean, rows, "saved_mean");
  cpu::check_count(saved_inv_std, rows, "saved_inv_std");
  vector_.layer_norm.backward(x.data<float>(), dy.data<float>(), gamma.data<float>(),
                              saved_mean.data<float>(), saved_inv_std.data<float>(), rows, channels,
                              cpu::float_workspace(stream, 2 * channels), dgamma.data<float>(),
                              dbeta.data<float>(), cpu::optional_data(dx));
}

}  // namespace lockstep
