// MeanTokens: the mean over the tokens of a sequence, (T, C) -> (C); with `padding` over those
// alone whose id is another, and zeros where there is none.
#pragma once

#include <optional>

#include "runtime/step/layer.h"

namespace lockstep {

class MeanTokens final : public UnaryLayer {
 public:
  explicit MeanTokens(std::optional<std::int64_t> padding = {}) : padding_(padding) {}

  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;

 private:
  std::optional<std::int64_t> padding_;
  Shape in_;
  Tensor y_, dx_;  // dx_ undefined: no gradient flows to the input
};

}  // namespace lockstep
