// Activations: ReLU, sigmoid, tanh element by element, softmax over the last axis. The first three
// work in place where they may, and always so in backward.
#pragma once

#include "runtime/step/layer.h"

namespace lockstep {

class ActivationLayer final : public UnaryLayer {
 public:
  explicit ActivationLayer(Activation activation);

  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  bool keeps_output() const override { return true; }

 private:
  Activation activation_;
  bool in_place_ = false;
  bool data_gradient_ = false;
  Tensor buffer_;  // undefined where the output is written over the input
  Tensor y_;       // of the last forward
};

class Softmax final : public UnaryLayer {
 public:
  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  bool keeps_output() const override { return true; }

 private:
  Tensor y_, dx_;  // dx_ undefined: no gradient flows to the input
};

// By the config's names: "relu", "sigmoid", "tanh"; an Error lists them otherwise.
Activation parse_activation(const std::string& name);

}  // namespace lockstep
