#include "models/layers/squeeze_excitation.h"

#include "models/layers/activation.h"
#include "models/layers/conv2d.h"
#include "runtime/step/onnx_export.h"

namespace lockstep {

namespace {

Conv2dOptions gate_conv(std::int64_t channels) {
  Conv2dOptions options = Conv2dOptions::square(channels, 1);
  options.weight_values = kaiming_normal_fan_out;
  options.bias_values = constant_values(0);
  return options;
}

}  // namespace

SqueezeExcitation::SqueezeExcitation(std::int64_t reduced) : reduced_(reduced) {
  if (reduced < 1) throw Error("squeeze_excitation to {} channels; there is at least 1", reduced);
}

Shape SqueezeExcitation::build(Build& build, const Shape& in) {
  if (in.rank() != 3 || in.elements() == 0)
    throw Error("layer '{}' (squeeze_excitation) takes images (H, W, C), not {}", build.path(),
                in.to_string());
  const std::int64_t channels = in[2];
  places_ = in[0] * in[1];
  data_gradient_ = build.gradient_flows;
  input_overwritable_ = build.input_overwritable;
  gate_.add_named<Conv2d>("conv_reduce", gate_conv(reduced_));
  gate_.add_named<ActivationLayer>("act1", Activation::kSilu);
  gate_.add_named<Conv2d>("conv_expand", gate_conv(channels));
  gate_.add_named<ActivationLayer>("gate", Activation::kSigmoid);
  build.input_overwritable = true;  // the averages
  // In backward, dy stays while the gate runs.
  GradientSlots& gradients = build.gradients();
  GradientSlots::Slots busy = gradients.busy();
  const std::size_t mark = gradients.mark();
  gate_.build(build, {1, 1, channels});
  busy.merge(gradients.since(mark));
  gradients.set_busy(std::move(busy));
  mean_ = build.buffer({1, 1, channels});
  dfactor_ = build.buffer({1, 1, channels});
  y_ = build.buffer(in);
  build.table.push_back({build.path(), "scale_channels", in});
  return in;
}

Tensor SqueezeExcitation::forward(const Pass& pass, const Tensor& x) {
  const std::int64_t rows = x.rows();
  const Shape per_sample{rows, x.shape().back()};
  Tensor mean = mean_.head(rows), averages = mean.view(per_sample);
  pass.backend.global_avg_pool_forward(pass.stream, x, averages);
  x_ = x;
  factor_ = gate_.forward(pass, mean).view(per_sample);
  Tensor y = input_overwritable_ && !pass.training ? x : y_.head(rows);  // backward reads x
  pass.backend.scale_channels(pass.stream, x, factor_, Tensor(), y);
  return y;
}

// dx = dy · factor + dmean / places, for the averages depend on x too.
Tensor SqueezeExcitation::backward(const Pass& pass, const Tensor& dy) {
  const std::int64_t rows = dy.rows();
  const Shape per_sample{rows, dy.shape().back()};
  Tensor dgate = dfactor_.head(rows), dfactor = dgate.view(per_sample);
  pass.backend.scale_channels_backward(pass.stream, x_, dy, dfactor);
  Tensor dmean = gate_.backward(pass, dgate);
  if (!data_gradient_) return {};
  pass.backend.scale(pass.stream, 1.0f / static_cast<float>(places_), dmean);
  Tensor dx = dy;
  pass.backend.scale_channels(pass.stream, dy, factor_, dmean.view(per_sample), dx);
  return dx;
}

OnnxValue SqueezeExcitation::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  const std::string path = onnx.path();
  const OnnxValue mean{onnx.node("GlobalAveragePool", {x.name}), {1, 1, x.sample[2]}};
  const OnnxValue factor = gate_.to_onnx(onnx, mean);
  onnx.enter(path);
  return {onnx.node("Mul", {x.name, factor.name}), x.sample};
}

}  // namespace lockstep
