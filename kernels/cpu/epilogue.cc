#include "kernels/cpu/epilogue.h"

#include "kernels/cpu/batch_norm.h"
#include "kernels/cpu/checks.h"

namespace lockstep::cpu {

namespace {

EpilogueKernels::Apply kernel_of(const EpilogueKernels& kernels,
                                 const std::optional<Activation>& activation) {
  if (!activation) return kernels.none;
  switch (activation->kind) {
    case Activation::kRelu:
      return kernels.relu;
    case Activation::kSigmoid:
      return kernels.sigmoid;
    case Activation::kTanh:
      return kernels.tanh;
    case Activation::kLeakyRelu:
      return kernels.leaky_relu;
    case Activation::kElu:
      return kernels.elu;
    case Activation::kGelu:
      return kernels.gelu;
    case Activation::kGeluTanh:
      return kernels.gelu_tanh;
    case Activation::kSilu:
      return kernels.silu;
  }
  throw Error("unknown activation {}", static_cast<int>(activation->kind));
}

}  // namespace

OutputEpilogue::OutputEpilogue(const VectorKernels& kernels, const Epilogue& epilogue,
                               const Tensor& y) {
  check_type(y, DType::kFloat32, "y");
  tile_.apply = kernel_of(kernels.epilogue, epilogue.activation);
  if (epilogue.activation) {
    tile_.parameter = epilogue.activation->parameter;
    LOCKSTEP_CHECK(tile_.parameter >= 0, "an activation's parameter is {}; at least 0 is needed",
                   tile_.parameter);
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
