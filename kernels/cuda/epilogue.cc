// What follows a convolution or a linear layer in evaluation. cuBLASLt takes activations of its own
// with the product, of sums that are not rounded before; all else is done by the kernels of its
// parts: a pass over y for batch norm with a residual and a ReLU, or one each. Every element is
// read before it is written, so all of it happens in place.
#include "kernels/cuda/backend_impl.h"

namespace lockstep {

namespace {

// What a product can do of this epilogue, where that is all of it.
std::optional<gpu::ProductActivation> within_product(const Epilogue& e) {
  if (e.gamma || e.residual) return {};
  if (!e.activation) return gpu::ProductActivation::kNone;
  if (e.activation->kind == Activation::kRelu) return gpu::ProductActivation::kRelu;
  if (e.activation->kind == Activation::kGeluTanh) return gpu::ProductActivation::kGeluTanh;
  return {};
}

}  // namespace

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
  const auto within = within_product(epilogue);
  linear_product(stream, g, x, w, packed, bias, within.value_or(gpu::ProductActivation::kNone), y);
  if (!within) follow(stream, epilogue, y);
}

void CudaBackend::conv_inference(Stream& stream, const ConvGeometry& g, const Tensor& x,
                                 const Tensor& w, const Tensor& packed, const Tensor& bias,
                                 const Epilogue& epilogue, Tensor& y) {
  conv_forward(stream, g, x, w, packed, bias, y);
  follow(stream, epilogue, y);
}

}  // namespace lockstep
