// LayerNorm over the last axis: vectors as torch.nn.LayerNorm(C), images (H, W, C) place by place,
// as ConvNeXt's. Parameters "weight" and "bias" (C). It knows no batch, so training and evaluation
// are the same.
#pragma once

#include "runtime/step/layer.h"

namespace lockstep {

class LayerNorm final : public UnaryLayer {
 public:
  explicit LayerNorm(float epsilon = 1e-5f);

  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;

 private:
  LayerNormOptions options_;
  Param* weight_ = nullptr;
  Param* bias_ = nullptr;
  Tensor saved_mean_, saved_inv_std_;  // (rows, places)
  Tensor x_, y_, dx_;                  // dx_ undefined: no gradient flows to the input
};

}  // namespace lockstep
