#include "models/layers/linear.h"

namespace lockstep {

Linear::Linear(std::int64_t out, bool bias) : has_bias_(bias) {
  geometry_.out = out;
}

Shape Linear::build(Build& build, const Shape& in) {
  if (in.rank() != 1) {
    throw Error("layer '{}' (linear) takes a vector, not {}; put a flatten layer before it",
                build.path(), in.to_string());
  }
  const bool data_gradient = build.gradient_flows;
  geometry_.in = in[0];

  ParamSpec weight;
  weight.file_shape = {geometry_.out, geometry_.in};
  weight.layout.kind = ParamLayout::Kind::kLinear;
  weight.layout.image = build.flattened_image;
  weight.initializer = torch_default_weight(geometry_.in);
  weight_ = build.param("weight", weight);
  if (has_bias_) {
    ParamSpec bias;
    bias.file_shape = {geometry_.out};
    bias.initializer = torch_default_bias(geometry_.in);
    bias.weight_decay = false;
    bias_ = build.param("bias", bias);
  }
  build.flattened_image = {};

  packed_forward_.build(build, build.backend().linear_packed_elements(geometry_, false));
  if (data_gradient) {
    packed_backward_.build(build, build.backend().linear_packed_elements(geometry_, true));
    dx_ = build.buffer(in);
  }
  const Shape out{geometry_.out};
  y_ = build.buffer(out);
  const std::int64_t products = geometry_.in * geometry_.out;
  build.table.push_back(
      {build.path(), "linear", out, products + (has_bias_ ? geometry_.out : 0), products});
  return out;
}

Tensor Linear::forward(const Pass& pass, const Tensor& x) {
  const Tensor& packed = packed_forward_.refreshed(pass, [&](Tensor& copy) {
    pass.backend.linear_pack(pass.stream, geometry_, false, weight_->value, copy);
  });
  x_ = x;
  Tensor y = y_.head(x.rows());
  pass.backend.linear_forward(pass.stream, geometry_, x, weight_->value, packed,
                              has_bias_ ? bias_->value : Tensor(), y);
  return y;
}

Tensor Linear::backward(const Pass& pass, const Tensor& dy) {
  Tensor dbias = has_bias_ ? bias_->grad : Tensor();
  pass.backend.linear_backward_weights(pass.stream, geometry_, x_, dy, weight_->grad, dbias);
  Tensor dx;
  if (dx_) {
    const Tensor& packed = packed_backward_.refreshed(pass, [&](Tensor& copy) {
      pass.backend.linear_pack(pass.stream, geometry_, true, weight_->value, copy);
    });
    dx = dx_.head(dy.rows());
    pass.backend.linear_backward_data(pass.stream, geometry_, dy, weight_->value, packed, dx);
  }
  pass.ready(weight_);
  pass.ready(bias_);
  return dx;
}

}  // namespace lockstep
