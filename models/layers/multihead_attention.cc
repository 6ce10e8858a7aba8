#include "models/layers/multihead_attention.h"

#include <cmath>

#include "runtime/step/onnx_export.h"

namespace lockstep {

MultiheadAttention::MultiheadAttention(const AttentionOptions& options) : options_(options) {
  if (options.heads < 1) throw Error("attention of {} heads; it needs one at least", options.heads);
}

Shape MultiheadAttention::build(Build& build, const Shape& in) {
  if (in.rank() != 2)
    throw Error("layer '{}' (attention) takes sequences (T, C), not {}", build.path(),
                in.to_string());
  const std::int64_t tokens = in[0], width = in[1];
  if (width % options_.heads != 0)
    throw Error("layer '{}' (attention): {} heads do not divide the {} columns of a token",
                build.path(), options_.heads, width);
  if (options_.padding) build.check_padding(*options_.padding, tokens, "attention");
  geometry_ = {.tokens = tokens,
               .heads = options_.heads,
               .head_width = width / options_.heads,
               .causal = options_.causal,
               .padding = options_.padding.value_or(-1)};
  const bool data_gradient = build.gradient_flows;

  ProjectionOptions projection;
  projection.in = width;
  projection.out = 3 * width;
  projection.weight = "in_proj_weight";
  projection.bias = options_.bias ? "in_proj_bias" : "";
  projection.weight_values = xavier_uniform({3 * width, width});
  projection.bias_values = constant_values(0);
  in_projection_.build(build, projection, data_gradient);
  projection.out = width;
  projection.weight = "out_proj.weight";
  projection.bias = options_.bias ? "out_proj.bias" : "";
  projection.weight_values = torch_default_weight(width);
  out_projection_.build(build, projection, true);

  qkv_ = build.buffer({tokens, 3 * width});
  probabilities_ = build.buffer({options_.heads, tokens, tokens});
  attended_ = build.buffer(in);
  y_ = build.buffer(in);
  dqkv_ = build.buffer({tokens, 3 * width});
  dattended_ = build.buffer(in);
  if (data_gradient) dx_ = build.buffer(in);
  build.table.push_back({build.path(), "attention", in,
                         in_projection_.parameters() + out_projection_.parameters(),
                         tokens * (in_projection_.multiply_adds() +
                                   out_projection_.multiply_adds() + 2 * tokens * width)});
  return in;
}

Tensor MultiheadAttention::forward(const Pass& pass, const Tensor& x) {
  const std::int64_t rows = x.rows();
  x_ = x;
  Tensor qkv = qkv_.head(rows), probabilities = probabilities_.head(rows);
  Tensor attended = attended_.head(rows), y = y_.head(rows);
  in_projection_.forward(pass, x, qkv);
  pass.backend.attention_forward(pass.stream, geometry_, qkv, pass.ids, probabilities, attended);
  out_projection_.forward(pass, attended, y);
  return y;
}

Tensor MultiheadAttention::backward(const Pass& pass, const Tensor& dy) {
  const std::int64_t rows = dy.rows();
  Tensor dattended = dattended_.head(rows), dqkv = dqkv_.head(rows);
  out_projection_.backward_weights(pass, attended_.head(rows), dy);
  out_projection_.backward_data(pass, dy, dattended);
  out_projection_.ready(pass);
  pass.backend.attention_backward(pass.stream, geometry_, qkv_.head(rows),
                                  probabilities_.head(rows), dattended, dqkv);
  in_projection_.backward_weights(pass, x_, dqkv);
  Tensor dx;
  if (dx_) {
    dx = dx_.head(rows);
    in_projection_.backward_data(pass, dqkv, dx);
  }
  in_projection_.ready(pass);
  return dx;
}

// 1 where a token may attend to another, else 0, to be multiplied with (N, heads, T, T); empty
// where every token may attend to all.
std::string MultiheadAttention::onnx_visible(OnnxExport& onnx) const {
  std::string visible;
  if (options_.causal) {
    const std::int64_t tokens = geometry_.tokens;
    std::vector<float> values;
    for (std::int64_t from = 0; from < tokens; ++from)
      for (std::int64_t to = 0; to < tokens; ++to) values.push_back(to <= from ? 1.0f : 0.0f);
    visible = onnx.constant(onnx.path() + "/causal", values, {tokens, tokens});
  }
  if (!options_.padding) return visible;
  const std::string tokens =
      onnx.node("Unsqueeze", {onnx.not_padding(*options_.padding), onnx.integers({1, 2})});
  return visible.empty() ? tokens : onnx.node("Mul", {visible, tokens});
}

OnnxValue MultiheadAttention::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  const std::int64_t tokens = geometry_.tokens, heads = geometry_.heads;
  const std::int64_t width = geometry_.head_width;
  const std::string qkv = onnx.transposed(
      onnx.reshaped(in_projection_.to_onnx(onnx, x).name, {0, tokens, 3, heads, width}),
      {2, 0, 3, 1, 4});  // (3, N, heads, T, width)
  const auto part = [&](std::int64_t i) {
    const std::string one = onnx.node("Gather", {qkv, onnx.integers({i})});
    return onnx.node("Squeeze", {one, onnx.integers({0})});
  };
  const std::string key = onnx.transposed(part(1), {0, 1, 3, 2});
  const float scale = 1.0f / std::sqrt(static_cast<float>(width));
  std::string scores = onnx.node("MatMul", {onnx.node("Mul", {part(0), onnx.number(scale)}), key});
  const std::string visible = onnx_visible(onnx);
  if (!visible.empty()) {
    // Far below any score, but finite: a token that may attend to none shall get zeros, not NaN.
    const std::string less = onnx.node("Sub", {visible, onnx.number(1.0f)});
    scores = onnx.node("Add", {scores, onnx.node("Mul", {less, onnx.number(1e30f)})});
  }
  std::string probabilities = onnx.node("Softmax", {scores}, {{"axis", std::int64_t{-1}}});
  if (!visible.empty()) probabilities = onnx.node("Mul", {probabilities, visible});
  const std::string attended =
      onnx.transposed(onnx.node("MatMul", {probabilities, part(2)}), {0, 2, 1, 3});
  const std::string joined = onnx.reshaped(attended, {0, tokens, heads * width});
  return out_projection_.to_onnx(onnx, {joined, x.sample});
}

}  // namespace lockstep
