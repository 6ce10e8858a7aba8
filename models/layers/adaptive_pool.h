// Adaptive pooling: images (H, W, C) of any size to (out_h, out_w, C), the largest value or the
// average of windows that PyTorch's AdaptiveMaxPool2d and AdaptiveAvgPool2d have.
#pragma once

#include "runtime/step/layer.h"

namespace lockstep {

class AdaptiveMaxPool2d final : public UnaryLayer {
 public:
  AdaptiveMaxPool2d(std::int64_t out_h, std::int64_t out_w);
  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;

 private:
  AdaptivePoolGeometry geometry_;
  Tensor y_, place_, dx_;  // dx_ undefined: no gradient flows to the input
};

class AdaptiveAvgPool2d final : public UnaryLayer {
 public:
  AdaptiveAvgPool2d(std::int64_t out_h, std::int64_t out_w);
  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;

 private:
  AdaptivePoolGeometry geometry_;
  Tensor y_, dx_;
};

}  // namespace lockstep
