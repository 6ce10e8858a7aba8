// Dropout: in training, zeros with the given probability and divides the rest by 1 - probability;
// otherwise passes its input on. The mask is a pure function of (seed, step, sample, layer,
// element), so it is computed again in backward and never stored.
#pragma once

#include "runtime/step/layer.h"

namespace lockstep {

class Dropout final : public UnaryLayer {
 public:
  explicit Dropout(double probability);

  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;
  std::optional<Epilogue> as_epilogue() const override { return Epilogue{}; }  // nothing
  // In evaluation the output is the input, so what the producer keeps must stay here too.
  bool keeps_output() const override { return !in_place_; }

 private:
  DropoutOptions options_for(const Pass& pass) const;

  float probability_;
  std::uint32_t random_layer_ = 0;
  bool in_place_ = false;
  bool data_gradient_ = false;
  Tensor y_;  // undefined where the output is written over the input
};

}  // namespace lockstep
