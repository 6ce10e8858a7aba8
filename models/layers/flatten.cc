#include "models/layers/flatten.h"

#include "runtime/step/onnx_export.h"

namespace lockstep {

Shape ViewLayer::build(Build& build, const Shape& in) {
  in_ = in;
  out_ = view_of(build, in);
  data_gradient_ = build.gradient_flows;
  input_overwritable_ = build.input_overwritable;
  build.table.push_back({build.path(), kind(), out_});
  return out_;
}

Tensor ViewLayer::forward(const Pass&, const Tensor& x) {
  return x.view(out_.with_rows(x.rows()));
}

Tensor ViewLayer::backward(const Pass&, const Tensor& dy) {
  return data_gradient_ ? dy.view(in_.with_rows(dy.rows())) : Tensor();
}

Shape Flatten::view_of(Build& build, const Shape& in) const {
  if (in.rank() == 3) build.flattened_image = in;
  return {in.elements()};
}

Shape AddChannel::view_of(Build& build, const Shape& in) const {
  if (in.rank() != 2) {
    throw Error("layer '{}' (add_channel) takes grey images (H, W), not {}", build.path(),
                in.to_string());
  }
  return {in[0], in[1], 1};
}

OnnxValue Flatten::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  return {onnx.node("Flatten", {x.name}), {x.sample.elements()}};
}

OnnxValue AddChannel::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  return {onnx.node("Unsqueeze", {x.name, onnx.integers({1})}), {x.sample[0], x.sample[1], 1}};
}

}  // namespace lockstep
