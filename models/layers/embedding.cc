#include "models/layers/embedding.h"

#include "runtime/step/onnx_export.h"

namespace lockstep {

Embedding::Embedding(const EmbeddingOptions& options) : options_(options) {
  if (options.ids < 1 || options.width < 1)
    throw Error("an embedding of {} ids in {} columns; it needs at least one of each", options.ids,
                options.width);
  if (options.padding && (*options.padding < 0 || *options.padding >= options.ids))
    throw Error("padding id {} of an embedding of {} ids; it lies in 0 to {}", *options.padding,
                options.ids, options.ids - 1);
}

Shape Embedding::build(Build& build, const Shape& in) {
  if (build.input_type != DType::kInt64)
    throw Error("layer '{}' (embedding) takes the data's ids, so it must stand first in a network",
                build.path());
  build.input_type = DType::kFloat32;  // of what the next layer gets
  if (in.rank() != 1)
    throw Error("layer '{}' (embedding) takes sequences of ids (T), not samples of {}",
                build.path(), in.to_string());
  build.ids = {in[0], options_.ids};
  const Shape out{in[0], options_.width};

  ParamSpec weight;
  weight.file_shape = {options_.ids, options_.width};
  weight.initializer = normal_values(0, 1);
  if (options_.padding) {
    weight.initializer.zeros_begin = *options_.padding * options_.width;
    weight.initializer.zeros_end = (*options_.padding + 1) * options_.width;
  }
  weight_ = build.param("weight", weight);
  y_ = build.buffer(out);
  build.table.push_back({build.path(), "embedding", out, options_.ids * options_.width});
  return out;
}

Tensor Embedding::forward(const Pass& pass, const Tensor& ids) {
  ids_ = ids;
  Tensor y = y_.head(ids.rows());
  pass.backend.embedding_forward(pass.stream, pass.sample_ids, ids, weight_->value, y);
  return y;
}

Tensor Embedding::backward(const Pass& pass, const Tensor& dy) {
  pass.backend.embedding_backward(pass.stream, options_.padding.value_or(-1), ids_, dy,
                                  weight_->grad);
  pass.ready(weight_);
  return {};  // ids have no gradient
}

OnnxValue Embedding::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  return {onnx.node("Gather", {onnx.param(*weight_), x.name}), {x.sample[0], options_.width}};
}

}  // namespace lockstep
