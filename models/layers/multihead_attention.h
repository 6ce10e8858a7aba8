// MultiheadAttention: self-attention within each sample (T, C), as torch.nn.MultiheadAttention with
// query = key = value and batch_first; `padding` makes the key_padding_mask, but a token that may
// attend to none gets the bias alone, where PyTorch gives NaN. Parameters "in_proj_weight" (3 C,
// C), "in_proj_bias" (3 C), "out_proj.weight" (C, C), "out_proj.bias" (C), initialised as PyTorch
// does.
#pragma once

#include <optional>

#include "models/layers/projection.h"

namespace lockstep {

struct AttentionOptions {
  std::int64_t heads = 1;  // must divide C
  bool causal = false;     // a token attends to itself and those before it
  bool bias = true;
  std::optional<std::int64_t> padding{};  // tokens of this id are not attended to
};

class MultiheadAttention final : public UnaryLayer {
 public:
  explicit MultiheadAttention(const AttentionOptions& options);

  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;

 private:
  std::string onnx_visible(OnnxExport& onnx) const;

  AttentionOptions options_;
  AttentionGeometry geometry_;
  Projection in_projection_, out_projection_;
  Tensor x_, qkv_, probabilities_, attended_, y_;
  Tensor dqkv_, dattended_, dx_;  // dx_ undefined: no gradient flows to the input
};

}  // namespace lockstep
