#include "models/layers/activation.h"

#include <array>
#include <utility>

#include "runtime/step/onnx_export.h"

namespace lockstep {

namespace {

constexpr std::array<std::pair<const char*, Activation::Kind>, 8> kActivations = {{
    {"relu", Activation::kRelu},
    {"sigmoid", Activation::kSigmoid},
    {"tanh", Activation::kTanh},
    {"leaky_relu", Activation::kLeakyRelu},
    {"elu", Activation::kElu},
    {"gelu", Activation::kGelu},
    {"gelu_tanh", Activation::kGeluTanh},
    {"silu", Activation::kSilu},
}};

const char* name_of(Activation::Kind kind) {
  for (const auto& [name, value] : kActivations)
    if (value == kind) return name;
  throw Error("unknown activation {}", static_cast<int>(kind));
}

}  // namespace

ActivationLayer::ActivationLayer(Activation activation) : activation_(activation) {}

Shape ActivationLayer::build(Build& build, const Shape& in) {
  in_place_ = build.input_overwritable && !activation_.backward_reads_input();
  data_gradient_ = build.gradient_flows;
  if (!in_place_) buffer_ = build.buffer(in);
  build.table.push_back({build.path(), name_of(activation_.kind), in});
  return in;
}

Tensor ActivationLayer::forward(const Pass& pass, const Tensor& x) {
  Tensor y = in_place_ ? x : buffer_.head(x.rows());
  pass.backend.activation_forward(pass.stream, activation_, x, y);
  kept_ = activation_.backward_reads_input() ? x : y;
  return y;
}

std::optional<Epilogue> ActivationLayer::as_epilogue() const {
  Epilogue epilogue;
  epilogue.activation = activation_;
  return epilogue;
}

Tensor ActivationLayer::backward(const Pass& pass, const Tensor& dy) {
  if (!data_gradient_) return {};
  Tensor dx = dy;
  pass.backend.activation_backward(pass.stream, activation_, kept_, dy, dx);
  return dx;
}

Shape Softmax::build(Build& build, const Shape& in) {
  y_ = build.buffer(in);
  if (build.gradient_flows) dx_ = build.gradient_buffer(in);
  build.table.push_back({build.path(), "softmax", in});
  return in;
}

Tensor Softmax::forward(const Pass& pass, const Tensor& x) {
  Tensor y = y_.head(x.rows());
  pass.backend.softmax_forward(pass.stream, x, y);
  return y;
}

Tensor Softmax::backward(const Pass& pass, const Tensor& dy) {
  if (!dx_) return {};
  Tensor dx = dx_.head(dy.rows());
  pass.backend.softmax_backward(pass.stream, y_.head(dy.rows()), dy, dx);
  return dx;
}

Shape LogSoftmax::build(Build& build, const Shape& in) {
  y_ = build.buffer(in);
  if (build.gradient_flows) dx_ = build.gradient_buffer(in);
  build.table.push_back({build.path(), "log_softmax", in});
  return in;
}

Tensor LogSoftmax::forward(const Pass& pass, const Tensor& x) {
  Tensor y = y_.head(x.rows());
  pass.backend.log_softmax_forward(pass.stream, x, y);
  return y;
}

Tensor LogSoftmax::backward(const Pass& pass, const Tensor& dy) {
  if (!dx_) return {};
  Tensor dx = dx_.head(dy.rows());
  pass.backend.log_softmax_backward(pass.stream, y_.head(dy.rows()), dy, dx);
  return dx;
}

// GELU is no operation of its own before opset 20.
OnnxValue ActivationLayer::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  const auto times = [&](const std::string& a, const std::string& b) {
    return onnx.node("Mul", {a, b});
  };
  const auto gelu = [&](const std::string& phi) {  // x (1 + phi) / 2
    const std::string one_more = onnx.node("Add", {phi, onnx.number(1.0f)});
    return OnnxValue{times(times(x.name, one_more), onnx.number(0.5f)), x.sample};
  };
  switch (activation_.kind) {
    case Activation::kRelu:
      return onnx.map("Relu", x);
    case Activation::kSigmoid:
      return onnx.map("Sigmoid", x);
    case Activation::kTanh:
      return onnx.map("Tanh", x);
    case Activation::kLeakyRelu:
      return onnx.map("LeakyRelu", x, {{"alpha", activation_.parameter}});
    case Activation::kElu:
      return onnx.map("Elu", x, {{"alpha", activation_.parameter}});
    case Activation::kSilu:
      return {times(x.name, onnx.node("Sigmoid", {x.name})), x.sample};
    case Activation::kGelu: {
      const std::string scaled = times(x.name, onnx.number(0.70710678f));  // √½
      return gelu(onnx.node("Erf", {scaled}));
    }
    case Activation::kGeluTanh: {  // tanh(√(2/π) (x + 0.044715 x³))
      const std::string cube = times(times(x.name, x.name), x.name);
      const std::string sum = onnx.node("Add", {x.name, times(cube, onnx.number(0.044715f))});
      return gelu(onnx.node("Tanh", {times(sum, onnx.number(0.79788456f))}));
    }
  }
  throw Error("unknown activation {}", static_cast<int>(activation_.kind));
}

OnnxValue Softmax::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  return onnx.map("Softmax", x, {{"axis", OnnxExport::channel_axis(x.sample)}});
}

OnnxValue LogSoftmax::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  return onnx.map("LogSoftmax", x, {{"axis", OnnxExport::channel_axis(x.sample)}});
}

Activation parse_activation(const std::string& name) {
  for (const auto& [known, value] : kActivations)
    if (name == known) return value;
  throw Error("unknown activation '{}'; known are {}", name, activation_names());
}

std::string activation_names() {
  std::string names;
  for (const auto& [name, kind] : kActivations)
    names += (names.empty() ? "" : ", ") + std::string(name);
  return names;
}

}  // namespace lockstep
