// Activations and softmax of the CPU back end.
#include "kernels/cpu/backend_impl.h"
#include "kernels/cpu/checks.h"
#include "kernels/cpu/vector_kernels.h"

namespace lockstep {

void CpuBackend::activation_forward(Stream&, Activation kind, const Tensor& x, Tensor& y) {
  cpu::check_shape(y, x.shape(), "y");
  const auto& kernels = vector_.activation;
  const auto kernel = kind == Activation::kRelu      ? kernels.relu_forward
                      : kind == Activation::kSigmoid ? kernels.sigmoid_forward
                                                     : kernels.tanh_forward;
  kernel(x.data<float>(), y.data<float>(), x.elements());
}

void CpuBackend::activation_backward(Stream&, Activation kind, const Tensor& y, const Tensor& dy,
                                     Tensor& dx) {
  cpu::check_shape(dy, y.shape(), "dy");
  cpu::check_shape(dx, y.shape(), "dx");
  const auto& kernels = vector_.activation;
  const auto kernel = kind == Activation::kRelu      ? kernels.relu_backward
                      : kind == Activation::kSigmoid ? kernels.sigmoid_backward
                                                     : kernels.tanh_backward;
  kernel(y.data<float>(), dy.data<float>(), dx.data<float>(), y.elements());
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

}  // namespace lockstep
