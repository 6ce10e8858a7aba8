#include "models/layers/projection.h"

#include "runtime/step/onnx_export.h"

namespace lockstep {

void Projection::build(Build& build, const ProjectionOptions& options, bool data_gradient) {
  geometry_ = {.in = options.in, .out = options.out};
  ParamSpec weight;
  weight.file_shape = {options.out, options.in};
  weight.layout.kind = ParamLayout::Kind::kLinear;
  weight.layout.image = options.image;
  weight.initializer = options.weight_values;
  weight_ = build.param(options.weight, weight);
  if (!options.bias.empty()) {
    ParamSpec bias;
    bias.file_shape = {options.out};
    bias.initializer = options.bias_values;
    bias.weight_decay = false;
    bias_ = build.param(options.bias, bias);
  }
  const auto build_packed = [&](PackedWeights& packed, bool backward) {
    packed.build(build, build.backend().linear_packed_elements(geometry_, backward),
                 [g = geometry_, backward, weight = weight_](const Pass& pass, Tensor& copy) {
                   pass.backend.linear_pack(pass.stream, g, backward, weight->value, copy);
                 });
  };
  build_packed(packed_forward_, false);
  if (build.backend().packs_alike())
    packed_backward_ = packed_forward_;
  else if (data_gradient)
    build_packed(packed_backward_, true);
}

void Projection::forward(const Pass& pass, const Tensor& x, Tensor& y) {
  const Tensor& packed = packed_forward_.refreshed(pass);
  Tensor rows = outputs(y);
  pass.backend.linear_forward(pass.stream, geometry_, inputs(x), weight_->value, packed,
                              bias_ != nullptr ? bias_->value : Tensor(), rows);
}

void Projection::forward_with(const Pass& pass, const Tensor& x, const Epilogue& epilogue,
                              Tensor& y) {
  const Tensor& packed = packed_forward_.refreshed(pass);
  Tensor rows = outputs(y);
  Epilogue of_rows = epilogue;
  if (of_rows.residual) of_rows.residual = outputs(of_rows.residual);
  pass.backend.linear_inference(pass.stream, geometry_, inputs(x), weight_->value, packed,
                                bias_ != nullptr ? bias_->value : Tensor(), of_rows, rows);
}

void Projection::backward_data(const Pass& pass, const Tensor& dy, Tensor& dx) {
  const Tensor& packed = packed_backward_.refreshed(pass);
  Tensor rows = inputs(dx);
  pass.backend.linear_backward_data(pass.stream, geometry_, outputs(dy), weight_->value, packed,
                                    rows);
}

void Projection::backward_weights(const Pass& pass, const Tensor& x, const Tensor& dy) {
  if (!any_trains({weight_, bias_})) return;
  Tensor dbias = bias_ != nullptr ? bias_->grad : Tensor();
  pass.backend.linear_backward_weights(pass.stream, geometry_, inputs(x), outputs(dy),
                                       weight_->grad, dbias);
}

void Projection::ready(const Pass& pass) const {
  pass.ready(weight_);
  pass.ready(bias_);
}

std::int64_t Projection::parameters() const {
  return multiply_adds() + (bias_ != nullptr ? geometry_.out : 0);
}

OnnxValue Projection::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  std::vector<std::int64_t> sizes(x.sample.sizes().begin(), x.sample.sizes().end());
  sizes.back() = geometry_.out;
  const Shape out{std::span<const std::int64_t>(sizes)};
  if (x.sample.rank() == 1) {
    std::vector<std::string> inputs = {x.name, onnx.param(*weight_)};
    if (bias_ != nullptr) inputs.push_back(onnx.param(*bias_));
    return {onnx.node("Gemm", inputs, {{"transB", std::int64_t{1}}}), out};
  }
  std::string y = onnx.node("MatMul", {onnx.channels_last(x), onnx.transposed_param(*weight_)});
  if (bias_ != nullptr) y = onnx.node("Add", {y, onnx.param(*bias_)});
  return {onnx.channels_first(y, out), out};
}

}  // namespace lockstep
