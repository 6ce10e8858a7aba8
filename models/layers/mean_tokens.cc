#include "models/layers/mean_tokens.h"

#include "runtime/step/onnx_export.h"

namespace lockstep {

namespace {

// A sequence as the backend's averages see it: an image of one column.
Tensor as_images(const Tensor& x, const Shape& sample) {
  return x.view({x.rows(), sample[0], 1, sample[1]});
}

}  // namespace

Shape MeanTokens::build(Build& build, const Shape& in) {
  if (in.rank() != 2)
    throw Error("layer '{}' (mean_tokens) takes sequences (T, C), not {}", build.path(),
                in.to_string());
  if (padding_) build.check_padding(*padding_, in[0], "mean_tokens");
  in_ = in;
  const Shape out{in[1]};
  y_ = build.buffer(out);
  if (build.gradient_flows) dx_ = build.buffer(in);
  build.table.push_back({build.path(), "mean_tokens", out});
  return out;
}

Tensor MeanTokens::forward(const Pass& pass, const Tensor& x) {
  Tensor y = y_.head(x.rows());
  if (padding_)
    pass.backend.mean_tokens_forward(pass.stream, *padding_, pass.ids, x, y);
  else
    pass.backend.global_avg_pool_forward(pass.stream, as_images(x, in_), y);
  return y;
}

Tensor MeanTokens::backward(const Pass& pass, const Tensor& dy) {
  if (!dx_) return {};
  Tensor dx = dx_.head(dy.rows());
  if (padding_) {
    pass.backend.mean_tokens_backward(pass.stream, *padding_, pass.ids, dy, dx);
    return dx;
  }
  Tensor images = as_images(dx, in_);
  pass.backend.global_avg_pool_backward(pass.stream, dy, images);
  return dx;
}

OnnxValue MeanTokens::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  const OnnxAttribute without_axis{"keepdims", std::int64_t{0}};
  const Shape out{in_[1]};
  if (!padding_)
    return {
        onnx.node("ReduceMean", {x.name}, {{"axes", std::vector<std::int64_t>{1}}, without_axis}),
        out};
  const std::string counts =
      onnx.node("Unsqueeze", {onnx.not_padding(*padding_), onnx.integers({2})});  // (N, T, 1)
  const auto total = [&](const std::string& value) {
    return onnx.node("ReduceSum", {value, onnx.integers({1})}, {without_axis});
  };
  const std::string sum = total(onnx.node("Mul", {x.name, counts}));
  // Where every token is padding the sum is 0, whatever divides it.
  const std::string tokens = onnx.node("Max", {total(counts), onnx.number(1.0f)});
  return {onnx.node("Div", {sum, tokens}), out};
}

}  // namespace lockstep
