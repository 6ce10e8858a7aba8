// Activations and softmax of the CPU back end.
#include "kernels/cpu/activation_kernel.h"
#include "kernels/cpu/backend_impl.h"
#include "kernels/cpu/checks.h"
#include "kernels/cpu/vector_kernels.h"

namespace lockstep {

void CpuBackend::activation_forward(Stream&, Activation activation, const Tensor& x, Tensor& y) {
  cpu::check_shape(y, x.shape(), "y");
  cpu::kernel_of(vector_.activation, activation)
      .forward(activation.parameter, x.data<float>(), y.data<float>(), x.elements());
}

void CpuBackend::activation_backward(Stream&, Activation activation, const Tensor& kept,
                                     const Tensor& dy, Tensor& dx) {
  cpu::check_shape(dy, kept.shape(), "dy");
  cpu::check_shape(dx, kept.shape(), "dx");
  cpu::kernel_of(vector_.activation, activation)
      .backward(activation.parameter, kept.data<float>(), dy.data<float>(), dx.data<float>(),
                kept.elements());
}

void CpuBackend::softmax_forward(Stream&, const Tensor& x, Tensor& y) {
  cpu::check_shape(y, x.shape(), "y");
  const std::int64_t classes = x.shape().back();
  if (classes == 0) return;
  vector_.loss.softmax_forward(x.data<float>(), x.elements() / classes, classes, y.data<float>());
}

void CpuBackend::softmax_backward(Stream&, const Tensor& y, const Tensor& dy, Tensor& dx) {
  cpu::check_shape(dy, y.shape(), "dy");
  cpu::check_shape(dx, y.shape(), "dx");
  const std::int64_t classes = y.shape().back();
  if (classes == 0) return;
  vector_.loss.softmax_backward(y.data<float>(), dy.data<float>(), y.elements() / classes, classes,
                                dx.data<float>());
}

void CpuBackend::log_softmax_forward(Stream&, const Tensor& x, Tensor& y) {
  cpu::check_shape(y, x.shape(), "y");
  const std::int64_t classes = x.shape().back();
  if (classes == 0) return;
  vector_.loss.log_softmax_forward(x.data<float>(), x.elements() / classes, classes,
                                   y.data<float>());
}

void CpuBackend::log_softmax_backward(Stream&, const Tensor& y, const Tensor& dy, Tensor& dx) {
  cpu::check_shape(dy, y.shape(), "dy");
  cpu::check_shape(dx, y.shape(), "dx");
  const std::int64_t classes = y.shape().back();
  if (classes == 0) return;
  vector_.loss.log_softmax_backward(y.data<float>(), dy.data<float>(), y.elements() / classes,
                                    classes, dx.data<float>());
}

}  // namespace lockstep
