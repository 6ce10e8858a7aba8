// Which entry of a table of activations is meant.
#pragma once

#include "kernels/core/options.h"

namespace lockstep::cpu {

// Table: a member each kind, of one type. Throws where the parameter is none.
template <typename Table>
const auto& kernel_of(const Table& kernels, const Activation& activation) {
  LOCKSTEP_CHECK(activation.parameter >= 0, "an activation's parameter is {}; at least 0 is needed",
                 activation.parameter);
  switch (activation.kind) {
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
  throw Error("unknown activation {}", static_cast<int>(activation.kind));
}

}  // namespace lockstep::cpu
