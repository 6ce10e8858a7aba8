#include "models/layers/batch_norm.h"

#include "runtime/step/onnx_export.h"

namespace lockstep {

namespace {

ParamSpec per_channel(std::int64_t channels, const Initializer& initializer) {
  ParamSpec spec;
  spec.file_shape = {channels};
  spec.initializer = initializer;
  spec.weight_decay = false;
  return spec;
}

}  // namespace

BatchNorm::BatchNorm(float epsilon, float momentum, float gamma)
    : momentum_(momentum), gamma_(gamma) {
  options_.epsilon = epsilon;
}

Shape BatchNorm::build(Build& build, const Shape& in) {
  if (in.rank() == 0) throw Error("layer '{}' (batch_norm) takes channels", build.path());
  if (build.flattened_image.rank() == 3) {
    throw Error(
        "layer '{}' (batch_norm) follows the flattening of an image {}; normalise before "
        "it, or after the next linear layer",
        build.path(), build.flattened_image.to_string());
  }
  data_gradient_ = build.gradient_flows;
  const std::int64_t channels = in.back();
  weight_ = build.param("weight", per_channel(channels, constant_values(gamma_)));
  bias_ = build.param("bias", per_channel(channels, constant_values(0.0f)));
  const auto statistic = [&](const char* name, float start) {
    ParamSpec spec = per_channel(channels, constant_values(start));
    spec.kind = ParamKind::kStatistic;
    spec.average_momentum = momentum_;
    return build.param(name, spec);
  };
  running_mean_ = statistic("running_mean", 0.0f);
  running_var_ = statistic("running_var", 1.0f);
  frozen_ = !running_var_->trains;

  saved_mean_ = build.fixed_buffer({channels});
  saved_inv_std_ = build.fixed_buffer({channels});
  if (frozen_) {
    zeros_ = build.constant({channels}, 0.0f);
    ones_ = build.constant({channels}, 1.0f);
  }
  if (!pools()) y_ = build.buffer(in);
  if (data_gradient_ || relu_) dx_ = build.gradient_buffer(in);
  if (relu_ && !frozen_ && !pooled_) {
    const std::int64_t vectors = in.elements() / channels;
    mask_ = build.buffer({vectors, relu_mask_bytes(channels)}, DType::kUInt8);
  }
  build.table.push_back({build.path(), "batch_norm", in, 2 * channels, 2 * in.elements()});
  return in;
}

Tensor BatchNorm::forward(const Pass& pass, const Tensor& x) {
  return forward(pass, x, {});
}

Tensor BatchNorm::forward(const Pass& pass, const Tensor& x, const Tensor& residual) {
  Tensor y = y_.head(x.rows());
  x_ = x;
  if (!pass.training || frozen_) {
    if (relu_)
      pass.backend.batch_norm_relu_inference(pass.stream, options_, x, weight_->value, bias_->value,
                                             running_mean_->value, running_var_->value, residual,
                                             y);
    else
      pass.backend.batch_norm_inference(pass.stream, options_, x, weight_->value, bias_->value,
                                        running_mean_->value, running_var_->value, y);
    return y;
  }
  if (relu_) {
    Tensor mask = mask_.head(x.rows());
    pass.backend.batch_norm_relu_forward(pass.stream, options_, x, weight_->value, bias_->value,
                                         residual, y, mask, saved_mean_, saved_inv_std_,
                                         running_mean_->grad, running_var_->grad);
  } else {
    pass.backend.batch_norm_forward(pass.stream, options_, x, weight_->value, bias_->value, y,
                                    saved_mean_, saved_inv_std_, running_mean_->grad,
                                    running_var_->grad);
  }
  return y;
}

std::optional<Epilogue> BatchNorm::as_epilogue() const {
  if (pools()) return {};
  Epilogue epilogue{.batch_norm = options_,
                    .gamma = weight_->value,
                    .beta = bias_->value,
                    .running_mean = running_mean_->value,
                    .running_var = running_var_->value,
                    .residual = {},
                    .activation = {}};
  if (relu_) epilogue.activation = Activation::kRelu;
  return epilogue;
}

// The frozen form has no mask: its ReLU goes by y.
bool BatchNorm::keeps_output() const {
  return relu_ && frozen_;
}

Tensor BatchNorm::backward(const Pass& pass, const Tensor& dy) {
  Tensor none;
  return backward(pass, dy, none);
}

Tensor BatchNorm::backward(const Pass& pass, const Tensor& dy, Tensor& dresidual) {
  const Tensor dx = frozen_ ? backward_by_statistics(pass, dy, dresidual)
                            : backward_by_batch(pass, dy, dresidual);
  ready(pass);
  return data_gradient_ ? dx : Tensor();
}

void BatchNorm::ready(const Pass& pass) const {
  for (const Param* param : {weight_, bias_, running_mean_, running_var_}) pass.ready(param);
}

void BatchNorm::forward(const Pass& pass, const Tensor& x, const PoolGeometry& windows,
                        MaxPool2d::Result& pooled) {
  x_ = x;
  if (pass.training)
    pass.backend.batch_norm_relu_max_pool_forward(
        pass.stream, options_, windows, x, weight_->value, bias_->value, pooled.y, pooled.argmax,
        saved_mean_, saved_inv_std_, running_mean_->grad, running_var_->grad);
  else
    pass.backend.batch_norm_relu_max_pool_inference(
        pass.stream, options_, windows, x, weight_->value, bias_->value, running_mean_->value,
        running_var_->value, pooled.y);
}

Tensor BatchNorm::backward(const Pass& pass, const Tensor& dy, const PoolGeometry& windows,
                           const MaxPool2d::Result& pooled) {
  Tensor dx = dx_.head(dy.rows());
  pass.backend.batch_norm_relu_max_pool_backward(pass.stream, windows, x_, pooled.y, dy,
                                                 pooled.argmax, weight_->value, saved_mean_,
                                                 saved_inv_std_, weight_->grad, bias_->grad, dx);
  ready(pass);
  return data_gradient_ ? dx : Tensor();
}

Tensor BatchNorm::backward_by_batch(const Pass& pass, const Tensor& dy, Tensor& dresidual) {
  Tensor dx;
  if (dx_) dx = dx_.head(dy.rows());
  if (relu_)
    pass.backend.batch_norm_relu_backward(pass.stream, x_, dy, mask_.head(dy.rows()),
                                          weight_->value, saved_mean_, saved_inv_std_,
                                          weight_->grad, bias_->grad, dx, dresidual);
  else
    pass.backend.batch_norm_backward(pass.stream, x_, dy, weight_->value, saved_mean_,
                                     saved_inv_std_, weight_->grad, bias_->grad, dx);
  return dx;
}

// The layer is y = w (x - mean) / sqrt(var + epsilon) + b with constant mean and var.
Tensor BatchNorm::backward_by_statistics(const Pass& pass, const Tensor& y_gradient,
                                         Tensor& dresidual) {
  Tensor dy = y_gradient;
  if (relu_) {
    pass.backend.activation_backward(pass.stream, Activation::kRelu, y_.head(dy.rows()), dy, dy);
    if (dresidual) pass.backend.copy_async(pass.stream, dy, dresidual);
  }
  const auto normalised = [&](const Tensor& x, const Tensor& weight, Tensor& y) {
    pass.backend.batch_norm_inference(pass.stream, options_, x, weight, zeros_, zeros_,
                                      running_var_->value, y);
  };
  if (any_trains({weight_, bias_})) {
    Tensor inv_std = saved_inv_std_.view({1, ones_.elements()}), none;
    normalised(ones_.view({1, ones_.elements()}), ones_, inv_std);
    pass.backend.batch_norm_backward(pass.stream, x_, dy, weight_->value, running_mean_->value,
                                     saved_inv_std_, weight_->grad, bias_->grad, none);
  }
  Tensor dx;
  if (dx_) {
    dx = dx_.head(dy.rows());
    normalised(dy, weight_->value, dx);
  }
  return dx;
}

OnnxValue BatchNorm::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  const OnnxValue y = normalised_in_onnx(onnx, x);
  return relu_ ? onnx.map("Relu", y) : y;
}

OnnxValue BatchNorm::to_onnx(OnnxExport& onnx, const OnnxValue& x,
                             const OnnxValue& residual) const {
  const OnnxValue y = normalised_in_onnx(onnx, x);
  return onnx.map("Relu", {onnx.node("Add", {y.name, residual.name}), y.sample});
}

OnnxValue BatchNorm::normalised_in_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  // Tokens (T, C): ONNX has channels second.
  const auto swapped = [&](const std::string& name) {
    if (x.sample.rank() != 2) return name;
    return onnx.node("Transpose", {name}, {{"perm", std::vector<std::int64_t>{0, 2, 1}}});
  };
  const std::string y = onnx.node("BatchNormalization",
                                  {swapped(x.name), onnx.param(*weight_), onnx.param(*bias_),
                                   onnx.param(*running_mean_), onnx.param(*running_var_)},
                                  {{"epsilon", options_.epsilon}});
  return {swapped(y), x.sample};
}

}  // namespace lockstep
