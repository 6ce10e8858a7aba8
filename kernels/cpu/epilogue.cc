#include "kernels/cpu/epilogue.h"

#include "kernels/cpu/activation_kernel.h"
#include "kernels/cpu/batch_norm.h"
#include "kernels/cpu/checks.h"

namespace lockstep::cpu {

OutputEpilogue::OutputEpilogue(const VectorKernels& kernels, const Epilogue& epilogue,
                               const Tensor& y) {
  check_type(y, DType::kFloat32, "y");
  tile_.apply = kernels.epilogue.none;
  if (epilogue.activation) {
    tile_.apply = kernel_of(kernels.epilogue, *epilogue.activation);
    tile_.parameter = epilogue.activation->parameter;
  }
  tile_.output = y.data<float>();
  tile_.channels = y.shape().back();
  if (epilogue.gamma) {
    factors_.resize(static_cast<std::size_t>(tile_.channels));
    batch_norm_factors(epilogue.batch_norm, y, epilogue.gamma, epilogue.beta, epilogue.running_mean,
                       epilogue.running_var, factors_.data());
    tile_.mean = epilogue.running_mean.data<float>();
    tile_.factor = factors_.data();
    tile_.shift = epilogue.beta.data<float>();
  }
  if (epilogue.residual) {
    check_shape(epilogue.residual, y.shape(), "residual");
    tile_.residual = epilogue.residual.data<float>();
  }
}

}  // namespace lockstep::cpu
