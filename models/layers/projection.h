// Projection: y = x · wᵀ + bias over the last axis, with its parameters and the copies of w that
// the backend asks for: what linear, recurrent and attention layers are made of. It has no
// activations.
#pragma once

#include "models/layers/packed_weights.h"

namespace lockstep {

struct ProjectionOptions {
  std::int64_t in = 0, out = 0;
  std::string weight = "weight";  // (out, in)
  std::string bias = "bias";      // (out); empty: none
  Initializer weight_values, bias_values;
  Shape image;  // see ParamLayout
};

class Projection {
 public:
  void build(Build& build, const ProjectionOptions& options, bool data_gradient);

  // x (..., in), y (..., out); all axes but the last count as rows.
  void forward(const Pass& pass, const Tensor& x, Tensor& y);
  // The same and what follows it, in evaluation.
  void forward_with(const Pass& pass, const Tensor& x, const Epilogue& epilogue, Tensor& y);
  void backward_data(const Pass& pass, const Tensor& dy, Tensor& dx);
  void backward_weights(const Pass& pass, const Tensor& x, const Tensor& dy);
  void ready(const Pass& pass) const;  // both parameters
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const;

  const Param* weight() const { return weight_; }
  const Param* bias() const { return bias_; }  // null: none
  std::int64_t parameters() const;
  std::int64_t multiply_adds() const { return geometry_.in * geometry_.out; }  // a row

 private:
  Tensor inputs(const Tensor& x) const {
    return x.view({x.elements() / geometry_.in, geometry_.in});
  }
  Tensor outputs(const Tensor& y) const {
    return y.view({y.elements() / geometry_.out, geometry_.out});
  }

  LinearGeometry geometry_;
  Param* weight_ = nullptr;
  Param* bias_ = nullptr;
  PackedWeights packed_forward_, packed_backward_;
};

}  // namespace lockstep
