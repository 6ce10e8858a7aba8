// Quadratic: y = a x² + b x + c element by element, parameters "a", "b", "c" of one number each.
// Product: the product over the last axis, (..., K) -> (..., 1).
#pragma once

#include "runtime/step/layer.h"

namespace lockstep {

class Quadratic final : public UnaryLayer {
 public:
  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;

 private:
  Param* a_ = nullptr;
  Param* b_ = nullptr;
  Param* c_ = nullptr;
  Tensor x_, y_, dx_;  // dx_ undefined: no gradient flows to the input
};

class Product final : public UnaryLayer {
 public:
  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;

 private:
  Tensor x_, y_, dx_;
};

}  // namespace lockstep
