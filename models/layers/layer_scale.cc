#include "models/layers/layer_scale.h"

#include "runtime/step/onnx_export.h"

namespace lockstep {

namespace {

// All rows and places as one sample, for they share the factors.
Tensor as_one_sample(const Tensor& x) {
  const std::int64_t channels = x.shape().back();
  return x.view({1, x.elements() / channels, channels});
}

Tensor as_one_row(const Tensor& gamma) {
  return gamma.view({1, gamma.elements()});
}

}  // namespace

LayerScale::LayerScale(std::unique_ptr<UnaryLayer> layer, std::int64_t channels, double start)
    : layer_(std::move(layer)), channels_(channels), start_(start) {
  LOCKSTEP_CHECK(layer_ != nullptr && channels > 0, "layer scale of {} channels", channels);
}

Shape LayerScale::build(Build& build, const Shape& in) {
  const bool data_gradient = build.gradient_flows;
  ParamSpec spec;
  spec.file_shape = {channels_};
  spec.initializer = constant_values(start_);
  spec.weight_decay = false;
  gamma_ = build.param("gamma", spec);

  build.gradient_flows = data_gradient;  // gamma comes first in files, but last in the arithmetic
  const Shape out = layer_->build(build, in);
  if (out.rank() == 0 || out.back() != channels_)
    throw Error("layer '{}' (layer_scale) of {} channels, but its layer gives {}", build.path(),
                channels_, out.to_string());
  layer_backward_ = build.gradient_flows;
  build.gradient_flows = layer_backward_ || gamma_->trains;
  y_ = build.buffer(out);
  zeros_ = build.constant({channels_}, 0.0f);
  ones_ = build.constant({channels_}, 1.0f);
  build.table.push_back({build.path(), "layer_scale", out, channels_});
  return out;
}

// gamma · x, as batch norm has it for the mean 0 and the variance 1.
Epilogue LayerScale::epilogue() const {
  return {.batch_norm = {.epsilon = 0},
          .gamma = gamma_->value,
          .beta = zeros_,
          .running_mean = zeros_,
          .running_var = ones_,
          .residual = {},
          .activation = {}};
}

bool LayerScale::takes(const Epilogue& after) const {
  Epilogue both = epilogue();
  return both.append(after) && layer_->takes(both);
}

Tensor LayerScale::forward_with(const Pass& pass, const Tensor& x, const Epilogue& after) {
  Epilogue both = epilogue();
  const bool whole = both.append(after);
  LOCKSTEP_CHECK(whole, "a layer scale was given an epilogue that it does not take");
  return layer_->forward_with(pass, x, both);
}

Tensor LayerScale::forward(const Pass& pass, const Tensor& x) {
  if (pass.joins_layers() && takes({})) return forward_with(pass, x, {});
  scaled_ = layer_->forward(pass, x);
  Tensor y = y_.head(x.rows()), samples = as_one_sample(y);
  pass.backend.scale_channels(pass.stream, as_one_sample(scaled_), as_one_row(gamma_->value),
                              Tensor(), samples);
  return y;
}

Tensor LayerScale::backward(const Pass& pass, const Tensor& dy) {
  Tensor gradient = as_one_sample(dy), dgamma = as_one_row(gamma_->grad);
  pass.backend.scale_channels_backward(pass.stream, as_one_sample(scaled_), gradient, dgamma);
  if (layer_backward_)
    pass.backend.scale_channels(pass.stream, gradient, as_one_row(gamma_->value), Tensor(),
                                gradient);
  pass.ready(gamma_);
  return layer_backward_ ? layer_->backward(pass, dy) : Tensor();
}

OnnxValue LayerScale::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  const std::string path = onnx.path();
  const OnnxValue scaled = layer_->to_onnx(onnx, x);
  onnx.enter(path);
  const std::string y = onnx.node("Mul", {onnx.channels_last(scaled), onnx.param(*gamma_)});
  return {onnx.channels_first(y, scaled.sample), scaled.sample};
}

}  // namespace lockstep
