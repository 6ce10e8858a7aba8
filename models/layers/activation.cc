#include "models/layers/activation.h"

#include <array>
#include <utility>

namespace lockstep {

namespace {

constexpr std::array<std::pair<const char*, Activation>, 3> kActivations = {{
    {"relu", Activation::kRelu},
    {"sigmoid", Activation::kSigmoid},
    {"tanh", Activation::kTanh},
}};

const char* name_of(Activation activation) {
  for (const auto& [name, value] : kActivations)
    if (value == activation) return name;
  throw Error("unknown activation {}", static_cast<int>(activation));
}

}  // namespace

ActivationLayer::ActivationLayer(Activation activation) : activation_(activation) {}

Shape ActivationLayer::build(Build& build, const Shape& in) {
  in_place_ = build.input_overwritable;
  data_gradient_ = build.gradient_flows;
  if (!in_place_) buffer_ = build.buffer(in);
  build.table.push_back({build.path(), name_of(activation_), in});
  return in;
}

Tensor ActivationLayer::forward(const Pass& pass, const Tensor& x) {
  y_ = in_place_ ? x : buffer_.head(x.rows());
  pass.backend.activation_forward(pass.stream, activation_, x, y_);
  return y_;
}

Tensor ActivationLayer::backward(const Pass& pass, const Tensor& dy) {
  if (!data_gradient_) return {};
  Tensor dx = dy;
  pass.backend.activation_backward(pass.stream, activation_, y_, dy, dx);
  return dx;
}

Shape Softmax::build(Build& build, const Shape& in) {
  y_ = build.buffer(in);
  if (build.gradient_flows) dx_ = build.buffer(in);
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

Activation parse_activation(const std::string& name) {
  for (const auto& [known, value] : kActivations)
    if (name == known) return value;
  throw Error("unknown activation '{}'; known are relu, sigmoid, tanh", name);
}

}  // namespace lockstep
