// PackedWeights: a layer's handle to a second copy of its weights, in the order that one of the
// backend's operations reads (runtime/step/packed_copies.h).
#pragma once

#include "runtime/step/layer.h"

namespace lockstep {

class PackedWeights {
 public:
  // 0 elements: the backend reads the weights as they are.
  void build(Build& build, std::int64_t elements) {
    if (elements > 0) copy_ = &build.packed_copy(elements);
  }

  // pack(tensor) fills the copy. Undefined where the backend wants none.
  template <typename Pack>
  const Tensor& refreshed(const Pass& pass, const Pack& pack) {
    return copy_ != nullptr ? copy_->refreshed(pass.weights_version, pack) : none_;
  }

 private:
  PackedCopy* copy_ = nullptr;
  Tensor none_;
};

}  // namespace lockstep
