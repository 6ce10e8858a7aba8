#include "models/layers/maxout.h"

#include "runtime/step/onnx_export.h"

namespace lockstep {

Maxout::Maxout(std::int64_t pieces) : pieces_(pieces) {
  if (pieces < 1 || pieces > 255) throw Error("maxout takes 1 to 255 pieces, not {}", pieces);
}

Shape Maxout::build(Build& build, const Shape& in) {
  if (in.rank() == 0 || in.back() % pieces_ != 0) {
    throw Error(
        "layer '{}' (maxout) takes {} pieces of equal size, but the last axis of {} cannot be "
        "divided; let the layer before have a multiple of {} outputs",
        build.path(), pieces_, in.to_string(), pieces_);
  }
  if (build.flattened_image.rank() == 3) {
    throw Error(
        "layer '{}' (maxout) follows the flattening of an image {}; put it before the flattening, "
        "or after the next linear layer",
        build.path(), build.flattened_image.to_string());
  }
  std::vector<std::int64_t> sizes(in.sizes().begin(), in.sizes().end());
  sizes.back() /= pieces_;
  const Shape out{std::span<const std::int64_t>(sizes)};
  y_ = build.buffer(out);
  piece_ = build.buffer(out, DType::kUInt8);
  if (build.gradient_flows) dx_ = build.gradient_buffer(in);
  build.table.push_back({build.path(), "maxout", out});
  return out;
}

Tensor Maxout::forward(const Pass& pass, const Tensor& x) {
  Tensor y = y_.head(x.rows()), piece = piece_.head(x.rows());
  pass.backend.maxout_forward(pass.stream, pieces_, x, y, piece);
  return y;
}

Tensor Maxout::backward(const Pass& pass, const Tensor& dy) {
  if (!dx_) return {};
  Tensor dx = dx_.head(dy.rows());
  pass.backend.maxout_backward(pass.stream, pieces_, dy, piece_.head(dy.rows()), dx);
  return dx;
}

OnnxValue Maxout::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  std::vector<std::int64_t> sizes(x.sample.sizes().begin(), x.sample.sizes().end());
  sizes.back() /= pieces_;
  const Shape out{std::span<const std::int64_t>(sizes)};
  std::vector<std::int64_t> pieces(sizes.size() - 1, 0);  // 0: the axis as it is
  pieces.insert(pieces.begin(), 0);
  pieces.push_back(pieces_);
  pieces.push_back(sizes.back());
  const std::string split = onnx.node("Reshape", {onnx.channels_last(x), onnx.integers(pieces)});
  const std::string y =
      onnx.node("ReduceMax", {split},
                {{"axes", std::vector<std::int64_t>{-2}}, {"keepdims", std::int64_t{0}}});
  return {onnx.channels_first(y, out), out};
}

}  // namespace lockstep
