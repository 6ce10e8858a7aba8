#include "models/layers/polynomial.h"

#include "runtime/step/onnx_export.h"

namespace lockstep {

Shape Quadratic::build(Build& build, const Shape& in) {
  ParamSpec spec;
  spec.file_shape = {1};
  spec.initializer = uniform_values(-1, 1);
  spec.weight_decay = false;
  const bool data_gradient = build.gradient_flows;
  a_ = build.param("a", spec);
  b_ = build.param("b", spec);
  c_ = build.param("c", spec);
  y_ = build.buffer(in);
  if (data_gradient) dx_ = build.gradient_buffer(in);
  build.table.push_back({build.path(), "quadratic", in, 3, 2 * in.elements()});
  return in;
}

Tensor Quadratic::forward(const Pass& pass, const Tensor& x) {
  x_ = x;
  Tensor y = y_.head(x.rows());
  pass.backend.quadratic_forward(pass.stream, x, a_->value, b_->value, c_->value, y);
  return y;
}

Tensor Quadratic::backward(const Pass& pass, const Tensor& dy) {
  Tensor dx = dx_ ? dx_.head(dy.rows()) : Tensor();
  pass.backend.quadratic_backward(pass.stream, x_, dy, a_->value, b_->value, a_->grad, b_->grad,
                                  c_->grad, dx);
  for (const Param* param : {a_, b_, c_}) pass.ready(param);
  return dx;
}

Shape Product::build(Build& build, const Shape& in) {
  if (in.rank() == 0 || in.back() == 0)
    throw Error("layer '{}' (product) takes at least one column, not {}", build.path(),
                in.to_string());
  std::vector<std::int64_t> sizes(in.sizes().begin(), in.sizes().end());
  sizes.back() = 1;
  const Shape out{std::span<const std::int64_t>(sizes)};
  y_ = build.buffer(out);
  if (build.gradient_flows) dx_ = build.gradient_buffer(in);
  build.flattened_image = {};
  build.table.push_back({build.path(), "product", out});
  return out;
}

Tensor Product::forward(const Pass& pass, const Tensor& x) {
  x_ = x;
  Tensor y = y_.head(x.rows());
  pass.backend.product_forward(pass.stream, x, y);
  return y;
}

Tensor Product::backward(const Pass& pass, const Tensor& dy) {
  if (!dx_) return {};
  Tensor dx = dx_.head(dy.rows());
  pass.backend.product_backward(pass.stream, x_, dy, dx);
  return dx;
}

OnnxValue Quadratic::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  const std::string slope =
      onnx.node("Add", {onnx.node("Mul", {onnx.param(*a_), x.name}), onnx.param(*b_)});
  return {onnx.node("Add", {onnx.node("Mul", {slope, x.name}), onnx.param(*c_)}), x.sample};
}

OnnxValue Product::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  std::vector<std::int64_t> sizes(x.sample.sizes().begin(), x.sample.sizes().end());
  sizes.back() = 1;
  const std::vector<std::int64_t> axes = {OnnxExport::channel_axis(x.sample)};
  return {onnx.node("ReduceProd", {x.name}, {{"axes", axes}}),
          Shape(std::span<const std::int64_t>(sizes))};
}

}  // namespace lockstep
