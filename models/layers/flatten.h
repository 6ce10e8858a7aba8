// Layers that are views, without a copy. Flatten: any sample as one vector; memory keeps the order
// H, W, C of an image, and the next linear layer learns of it through Build::flattened_image.
// AddChannel: grey images (H, W) as (H, W, 1).
#pragma once

#include "runtime/step/layer.h"

namespace lockstep {

class ViewLayer : public UnaryLayer {
 public:
  Shape build(Build& build, const Shape& in) final;
  Tensor forward(const Pass& pass, const Tensor& x) final;
  Tensor backward(const Pass& pass, const Tensor& dy) final;
  // The output is the input: what its producer keeps must stay.
  bool keeps_output() const final { return !input_overwritable_; }

 private:
  virtual Shape view_of(Build& build, const Shape& in) const = 0;
  virtual const char* kind() const = 0;

  Shape in_, out_;
  bool data_gradient_ = false;
  bool input_overwritable_ = false;
};

class Flatten final : public ViewLayer {
 public:
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;

 private:
  Shape view_of(Build& build, const Shape& in) const override;
  const char* kind() const override { return "flatten"; }
};

class AddChannel final : public ViewLayer {
 public:
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;

 private:
  Shape view_of(Build& build, const Shape& in) const override;
  const char* kind() const override { return "add_channel"; }
};

}  // namespace lockstep
