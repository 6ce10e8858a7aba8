// PackedWeights: a second copy of a layer's weights in the order that one of the backend's
// operations reads, made anew when the weights have changed and not before.
#pragma once

#include "runtime/step/layer.h"

namespace lockstep {

class PackedWeights {
 public:
  // 0 elements: the backend reads the weights as they are.
  void build(Build& build, std::int64_t elements) {
    if (elements > 0) tensor_ = build.fixed_buffer({elements});
  }

  // pack(tensor) fills the copy. Undefined where the backend wants none.
  template <typename Pack>
  const Tensor& refreshed(const Pass& pass, Pack pack) {
    if (tensor_ && version_ != pass.weights_version) {
      pack(tensor_);
      version_ = pass.weights_version;
    }
    return tensor_;
  }

 private:
  Tensor tensor_;
  std::int64_t version_ = -1;  // of the weights that were packed; none yet
};

}  // namespace lockstep
