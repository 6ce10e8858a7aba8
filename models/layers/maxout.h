// Maxout over the last axis (Goodfellow et al. 2013): K pieces of C channels, one behind the other,
// become C channels, each the largest of its K. Behind a linear layer of K · C outputs it is the
// largest of K linear functions; in PyTorch x.unflatten(-1, (K, C)).amax(-2).
#pragma once

#include "runtime/step/layer.h"

namespace lockstep {

class Maxout final : public UnaryLayer {
 public:
  explicit Maxout(std::int64_t pieces);

  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;

 private:
  std::int64_t pieces_;
  Tensor y_, piece_, dx_;  // dx_ undefined: no gradient flows to the input
};

}  // namespace lockstep
