// Embedding: sequences (T) of ids to rows (T, width) of a table, as torch.nn.Embedding. Its
// samples are int64 ids, so it stands first in a network. Parameter "weight" (ids, width), N(0, 1)
// at first. The row of `padding` starts at zero and never learns.
#pragma once

#include <optional>

#include "runtime/step/layer.h"

namespace lockstep {

struct EmbeddingOptions {
  std::int64_t ids = 0;    // rows of the table: ids are 0 to ids - 1
  std::int64_t width = 0;  // elements of a row
  std::optional<std::int64_t> padding;
};

class Embedding final : public UnaryLayer {
 public:
  explicit Embedding(const EmbeddingOptions& options);

  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& ids) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;
  DType input_type() const override { return DType::kInt64; }

 private:
  EmbeddingOptions options_;
  Param* weight_ = nullptr;
  Tensor ids_, y_;
};

}  // namespace lockstep
