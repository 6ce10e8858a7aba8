// MeanTokens: the mean over the tokens of a sequence, (T, C) -> (C).
#pragma once

#include "runtime/step/layer.h"

namespace lockstep {

class MeanTokens final : public UnaryLayer {
 public:
  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;

 private:
  Shape in_;
  Tensor y_, dx_;  // dx_ undefined: no gradient flows to the input
};

}  // namespace lockstep
