// What follows a convolution or a linear layer in evaluation, by the kernels of its parts: a pass
// over y for batch norm with a residual and a ReLU, or one each. Every element is read before it is
// written, so all of it happens in place.
#include "kernels/cuda/backend_impl.h"

namespace lockstep {

void CudaBackend::follow(Stream& stream, const Epilogue& e, Tensor& y) {
  const bool relu = e.activation == Activation(Activation::kRelu);
  if (e.gamma && relu) {
    batch_norm_relu_inference(stream, e.batch_norm, y, e.gamma, e.beta, e.running_mean,
                              e.running_var, e.residual, y);
    return;
  }
  if (e.gamma)
    batch_norm_inference(stream, e.batch_norm, y, e.gamma, e.beta, e.running_mean, e.running_var,
                         y);
  if (e.residual) add(stream, y, e.residual, y);
  if (e.activation) activation_forward(stream, *e.activation, y, y);
}

void CudaBackend::linear_inference(Stream& stream, const LinearGeometry& g, const Tensor& x,
                                   const Tensor& w, const Tensor& packed, const Tensor& bias,
                                   const Epilogue& epilogue, Tensor& y) {
  linear_forward(stream, g, x, w, packed, bias, y);
  follow(stream, epilogue, y);
}

void CudaBackend::conv_inference(Stream& stream, const ConvGeometry& g, const Tensor& x,
                                 const Tensor& w, const Tensor& packed, const Tensor& bias,
                                 const Epilogue& epilogue, Tensor& y) {
  conv_forward(stream, g, x, w, packed, bias, y);
  follow(stream, epilogue, y);
}

}  // namespace lockstep
