// Activations element by element, softmax and its logarithm over the last axis. The former work in
// place where they may and where backward does not need their input, and always in place in
// backward.
#pragma once

#include "runtime/step/layer.h"

namespace lockstep {

class ActivationLayer final : public UnaryLayer {
 public:
  explicit ActivationLayer(Activation activation);

  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;
  std::optional<Epilogue> as_epilogue() const override;
  // In place, the input is where the output is; else what backward reads may be the input alone.
  bool keeps_output() const override { return !activation_.backward_reads_input(); }

 private:
  Activation activation_;
  bool in_place_ = false;
  bool data_gradient_ = false;
  Tensor buffer_;  // undefined where the output is written over the input
  Tensor kept_;    // of the last forward: what backward reads, the input or the output
};

class Softmax final : public UnaryLayer {
 public:
  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;
  bool keeps_output() const override { return true; }

 private:
  Tensor y_, dx_;  // dx_ undefined: no gradient flows to the input
};

class LogSoftmax final : public UnaryLayer {
 public:
  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;
  bool keeps_output() const override { return true; }

 private:
  Tensor y_, dx_;  // dx_ undefined: no gradient flows to the input
};

// By the config's names, "relu" or "gelu_tanh", with the usual parameter; an Error lists them
// otherwise.
Activation parse_activation(const std::string& name);
std::string activation_names();  // "relu, sigmoid, ..."

}  // namespace lockstep
