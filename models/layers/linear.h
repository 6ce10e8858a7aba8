// Linear: y = x · wᵀ + bias over vectors, or over each token of a sequence (T, C). Parameters
// "weight" (out, in) and "bias" (out), as torch.nn.Linear, initialised as PyTorch does. After
// Flatten of an image, memory's columns run H, W, C and the file's C, H, W.
#pragma once

#include "models/layers/projection.h"

namespace lockstep {

class Linear final : public UnaryLayer {
 public:
  explicit Linear(std::int64_t out, bool bias = true);

  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;

 private:
  std::int64_t out_;
  bool has_bias_;
  Projection projection_;
  Tensor x_, y_, dx_;  // dx_ undefined: no gradient flows to the input
};

}  // namespace lockstep
