#include "models/layers/layer_norm.h"

#include "runtime/step/onnx_export.h"

namespace lockstep {

namespace {

ParamSpec per_channel(std::int64_t channels, float start) {
  ParamSpec spec;
  spec.file_shape = {channels};
  spec.initializer = constant_values(start);
  spec.weight_decay = false;
  return spec;
}

}  // namespace

LayerNorm::LayerNorm(float epsilon) {
  options_.epsilon = epsilon;
}

Shape LayerNorm::build(Build& build, const Shape& in) {
  if (in.rank() == 0 || in.elements() == 0)
    throw Error("layer '{}' (layer_norm) takes channels, not {}", build.path(), in.to_string());
  if (build.flattened_image.rank() == 3) {
    throw Error(
        "layer '{}' (layer_norm) follows the flattening of an image {}; normalise before it, or "
        "after the next linear layer",
        build.path(), build.flattened_image.to_string());
  }
  const bool data_gradient = build.gradient_flows;
  const std::int64_t channels = in.back();
  weight_ = build.param("weight", per_channel(channels, 1.0f));
  bias_ = build.param("bias", per_channel(channels, 0.0f));
  saved_mean_ = build.buffer({in.elements() / channels}, DType::kFloat32);
  saved_inv_std_ = build.buffer({in.elements() / channels}, DType::kFloat32);
  y_ = build.buffer(in);
  if (data_gradient) dx_ = build.gradient_buffer(in);
  build.table.push_back({build.path(), "layer_norm", in, 2 * channels, 5 * in.elements()});
  return in;
}

Tensor LayerNorm::forward(const Pass& pass, const Tensor& x) {
  x_ = x;
  Tensor y = y_.head(x.rows()), mean = saved_mean_.head(x.rows()),
         inv_std = saved_inv_std_.head(x.rows());
  pass.backend.layer_norm_forward(pass.stream, options_, x, weight_->value, bias_->value, y, mean,
                                  inv_std);
  return y;
}

Tensor LayerNorm::backward(const Pass& pass, const Tensor& dy) {
  Tensor dx;
  if (dx_) dx = dx_.head(dy.rows());
  pass.backend.layer_norm_backward(pass.stream, x_, dy, weight_->value, saved_mean_.head(dy.rows()),
                                   saved_inv_std_.head(dy.rows()), weight_->grad, bias_->grad, dx);
  pass.ready(weight_);
  pass.ready(bias_);
  return dx;
}

OnnxValue LayerNorm::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  const std::string y = onnx.node("LayerNormalization",
                                  {onnx.channels_last(x), onnx.param(*weight_), onnx.param(*bias_)},
                                  {{"axis", std::int64_t{-1}}, {"epsilon", options_.epsilon}});
  return {onnx.channels_first(y, x.sample), x.sample};
}

}  // namespace lockstep
