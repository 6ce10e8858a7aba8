// LayerScale (Touvron et al. 2021): y = gamma · layer(x), one learned factor a channel, which
// starts small. The parameter "gamma" stands before the layer's own, as in timm's blocks.
#pragma once

#include "runtime/step/layer.h"

namespace lockstep {

class LayerScale final : public UnaryLayer {
 public:
  // `channels`: of the layer's output.
  LayerScale(std::unique_ptr<UnaryLayer> layer, std::int64_t channels, double start);

  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  bool takes(const Epilogue& after) const override;
  Tensor forward_with(const Pass& pass, const Tensor& x, const Epilogue& after) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;

 private:
  Epilogue epilogue() const;

  std::unique_ptr<UnaryLayer> layer_;
  std::int64_t channels_;
  double start_;
  Param* gamma_ = nullptr;
  bool layer_backward_ = false;  // gradients flow into the layer
  Tensor scaled_;                // of the last forward: what gamma multiplies
  Tensor y_;
  Tensor zeros_, ones_;  // (channels)
};

}  // namespace lockstep
