// PackedWeights: a layer's handle to a second copy of its weights, in the order that one of the
// backend's operations reads (runtime/step/packed_copies.h).
#pragma once

#include "runtime/step/layer.h"

namespace lockstep {

class PackedWeights {
 public:
  // 0 elements: the backend reads the weights as they are. pack fills the copy; it outlives the
  // layer's moves, so it refers to parameters, not to the layer. A copy of this handle is another
  // to the same weights.
  using Pack = std::function<void(const Pass&, Tensor& copy)>;
  void build(Build& build, std::int64_t elements, Pack pack) {
    if (elements == 0) return;
    copy_ = &build.packed_copy(elements);
    pack_ = pack;
    build.preparations.push_back([copy = copy_, pack = std::move(pack)](const Pass& pass) {
      copy->refresh_if_free(pass.weights_version, [&](Tensor& tensor) { pack(pass, tensor); });
    });
  }

  // Undefined where the backend wants none.
  const Tensor& refreshed(const Pass& pass) {
    if (copy_ == nullptr) return none_;
    return copy_->refreshed(pass.weights_version, [&](Tensor& tensor) { pack_(pass, tensor); });
  }

 private:
  PackedCopy* copy_ = nullptr;
  Pack pack_;
  Tensor none_;
};

}  // namespace lockstep
