#include "models/layers/multihead_attention.h"

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

}  // namespace lockstep
