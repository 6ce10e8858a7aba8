#include "models/layers/drop_path.h"

#include "runtime/step/onnx_export.h"

namespace lockstep {

DropPath::DropPath(double probability) : probability_(static_cast<float>(probability)) {
  if (!(probability >= 0 && probability < 1))
    throw Error("drop_path takes a probability in [0, 1), not {}", probability);
}

Shape DropPath::build(Build& build, const Shape& in) {
  random_layer_ = build.next_random_layer();
  in_place_ = build.input_overwritable;
  data_gradient_ = build.gradient_flows;
  if (!in_place_) y_ = build.buffer(in);
  build.table.push_back({build.path(), "drop_path", in});
  return in;
}

Tensor DropPath::forward(const Pass& pass, const Tensor& x) {
  if (!pass.training) return x;
  Tensor y = in_place_ ? x : y_.head(x.rows());
  pass.backend.drop_samples(pass.stream, options_for(pass), pass.sample_ids, x, y);
  return y;
}

Tensor DropPath::backward(const Pass& pass, const Tensor& dy) {
  if (!data_gradient_) return {};
  Tensor dx = dy;
  pass.backend.drop_samples(pass.stream, options_for(pass), pass.sample_ids, dy, dx);
  return dx;
}

OnnxValue DropPath::to_onnx(OnnxExport&, const OnnxValue& x) const {
  return x;
}

DropoutOptions DropPath::options_for(const Pass& pass) const {
  return {
      probability_,
      {pass.seed, RandomPurpose::kDropout, random_layer_, static_cast<std::uint64_t>(pass.step)}};
}

}  // namespace lockstep
