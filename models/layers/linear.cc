#include "models/layers/linear.h"

#include "runtime/step/onnx_export.h"

namespace lockstep {

Linear::Linear(const LinearOptions& options) : options_(options) {}

Shape Linear::build(Build& build, const Shape& in) {
  if (in.rank() != 1 && in.rank() != 2 && !(options_.each_place && in.rank() == 3)) {
    throw Error("layer '{}' (linear) takes a vector, not {}; put a flatten layer before it",
                build.path(), in.to_string());
  }
  const bool data_gradient = build.gradient_flows;
  ProjectionOptions options;
  options.in = in.back();
  options.out = options_.out;
  if (!options_.bias) options.bias = "";
  options.weight_values = options_.weight_values.value_or(torch_default_weight(in.back()));
  options.bias_values = options_.bias_values.value_or(torch_default_bias(in.back()));
  options.image = build.flattened_image;
  projection_.build(build, options, data_gradient);
  build.flattened_image = {};

  std::vector<std::int64_t> sizes(in.sizes().begin(), in.sizes().end());
  sizes.back() = options_.out;
  const Shape out{std::span<const std::int64_t>(sizes)};
  y_ = build.buffer(out);
  if (data_gradient) dx_ = build.gradient_buffer(in);
  build.table.push_back({build.path(), "linear", out, projection_.parameters(),
                         projection_.multiply_adds() * (out.elements() / options_.out)});
  return out;
}

Tensor Linear::forward(const Pass& pass, const Tensor& x) {
  x_ = x;
  Tensor y = y_.head(x.rows());
  projection_.forward(pass, x, y);
  return y;
}

Tensor Linear::forward_with(const Pass& pass, const Tensor& x, const Epilogue& epilogue) {
  Tensor y = y_.head(x.rows());
  projection_.forward_with(pass, x, epilogue, y);
  return y;
}

Tensor Linear::backward(const Pass& pass, const Tensor& dy) {
  projection_.backward_weights(pass, x_, dy);
  Tensor dx;
  if (dx_) {
    dx = dx_.head(dy.rows());
    projection_.backward_data(pass, dy, dx);
  }
  projection_.ready(pass);
  return dx;
}

OnnxValue Linear::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  return projection_.to_onnx(onnx, x);
}

}  // namespace lockstep
