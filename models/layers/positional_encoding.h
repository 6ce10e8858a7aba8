// PositionalEncoding: what tells a network the order of a sequence (T, C): one row added to each
// token's. Sinusoidal (Vaswani et al. 2017): sin and cos of the position at frequencies from 1 to
// 1/10000, without parameters. Learned: parameter "weight" (T, C), N(0, 0.02) at first, which loads
// from the weight of a torch.nn.Embedding of positions.
#pragma once

#include "runtime/step/layer.h"

namespace lockstep {

enum class PositionKind { kSinusoidal, kLearned };

class PositionalEncoding final : public UnaryLayer {
 public:
  explicit PositionalEncoding(PositionKind kind) : kind_(kind) {}

  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;

 private:
  PositionKind kind_;
  bool data_gradient_ = false;
  Param* weight_ = nullptr;  // of learned ones
  Tensor rows_;              // of the others
  Tensor y_;                 // undefined where the output is written over the input
};

// The sinusoidal rows (tokens, width): column 2 i is sin(t / 10000^(2 i / width)), column 2 i + 1
// its cosine.
Tensor sinusoidal_rows(std::int64_t tokens, std::int64_t width);

}  // namespace lockstep
