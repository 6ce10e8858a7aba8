// Linear: y = x · wᵀ + bias over vectors, over each token of a sequence (T, C) or, where it is
// asked for, over each place of an image (H, W, C). Parameters "weight" (out, in) and "bias" (out),
// as torch.nn.Linear, initialised as PyTorch does unless told otherwise. After Flatten of an image,
// memory's columns run H, W, C and the file's C, H, W.
#pragma once

#include <optional>

#include "models/layers/projection.h"

namespace lockstep {

struct LinearOptions {
  std::int64_t out = 0;
  bool bias = true;
  bool each_place = false;  // of an image; else an image is refused, for most want it flattened
  std::optional<Initializer> weight_values = {}, bias_values = {};  // absent: PyTorch's
};

class Linear final : public UnaryLayer {
 public:
  explicit Linear(const LinearOptions& options);
  explicit Linear(std::int64_t out, bool bias = true)
      : Linear(LinearOptions{.out = out, .bias = bias}) {}

  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  bool takes(const Epilogue&) const override { return true; }
  Tensor forward_with(const Pass& pass, const Tensor& x, const Epilogue& epilogue) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;

 private:
  LinearOptions options_;
  Projection projection_;
  Tensor x_, y_, dx_;  // dx_ undefined: no gradient flows to the input
};

}  // namespace lockstep
