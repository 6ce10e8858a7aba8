// SqueezeExcitation (Hu et al. 2018) as timm's: channels times a gate that two 1 x 1 convolutions
// compute from their averages, y = x · sigmoid(conv_expand(silu(conv_reduce(mean of x)))).
// Parameters "conv_reduce.*" and "conv_expand.*"; their biases start at 0.
#pragma once

#include "models/layers/sequential.h"

namespace lockstep {

class SqueezeExcitation final : public UnaryLayer {
 public:
  explicit SqueezeExcitation(std::int64_t reduced);

  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;

 private:
  std::int64_t reduced_, places_ = 0;
  Sequential gate_;
  bool data_gradient_ = false;
  bool input_overwritable_ = false;
  Tensor mean_, dfactor_;  // (channels)
  Tensor x_, factor_;      // of the last forward
  Tensor y_;
};

}  // namespace lockstep
