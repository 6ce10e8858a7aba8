#include "runtime/step/layer.h"

#include <algorithm>
#include <cmath>

#include "io/dataset/dataset.h"
#include "kernels/core/memory_use.h"
#include "kernels/core/small_floats.h"
#include "runtime/step/onnx_export.h"

namespace lockstep {

Build::Build(Backend& backend, ParamSet& params, std::int64_t max_rows)
    : backend_(backend), params_(params), max_rows_(max_rows) {}

Build::Scope::Scope(Build& build, const std::string& name)
    : build_(build), length_(build.prefix_.size()) {
  if (!name.empty()) build_.prefix_ += name + ".";
}

Build::Scope::~Scope() {
  build_.prefix_.resize(length_);
}

std::string Build::path(const std::string& name) const {
  const std::string full = prefix_ + name;
  return full.ends_with('.') ? full.substr(0, full.size() - 1) : full;
}

void Build::check_padding(std::int64_t padding, std::int64_t tokens,
                          const std::string& kind) const {
  if (tokens != ids.tokens)
    throw Error(
        "layer '{}' ({}): padding goes by the ids of an embedding that begins the network, one for "
        "each of the {} tokens",
        path(), kind, tokens);
  if (padding < 0 || padding >= ids.count)
    throw Error("layer '{}' ({}): padding {} is no id of the embedding, which has 0 to {}", path(),
                kind, padding, ids.count - 1);
}

Param* Build::param(const std::string& name, const ParamSpec& spec) {
  Param* param = params_.add(prefix_ + name, spec);
  param->trains = !frozen.contains(param->name);
  if (spec.kind == ParamKind::kTrainable && param->trains) gradient_flows = true;
  return param;
}

Tensor Build::buffer(const Shape& sample, DType type) {
  const MemoryUse use("activations");
  Tensor tensor = backend_.empty(sample.with_rows(max_rows_), type);
  buffer_bytes_ += tensor.bytes();
  activation_bytes_ += tensor.bytes();
  return tensor;
}

Tensor Build::gradient_buffer(const Shape& sample) {
  return gradients_.take(backend_, sample.with_rows(max_rows_));
}

Tensor Build::gradient_copy(const Shape& sample, std::size_t mark) {
  return gradients_.take_apart(backend_, sample.with_rows(max_rows_), mark);
}

Tensor Build::fixed_buffer(const Shape& shape, DType type) {
  const MemoryUse use("statistics and constants");
  Tensor tensor = backend_.empty(shape, type);
  buffer_bytes_ += tensor.bytes();
  return tensor;
}

Tensor Build::constant(const Shape& shape, float value) {
  const Tensor host = host_tensor(shape, DType::kFloat32);
  std::ranges::fill(host.span<float>(), value);
  Tensor tensor = fixed_buffer(shape);
  backend_.copy(host, tensor);
  return tensor;
}

OnnxValue Layer::to_onnx(OnnxExport& onnx, const OnnxValue&) const {
  throw Error(
      "layer '{}' has no ONNX form; export its weights as safetensors, and make the network in "
      "Python",
      onnx.path());
}

PackedCopy& Build::packed_copy(std::int64_t elements) {
  packed_bytes_ += static_cast<std::size_t>(elements) * size_of(backend_.activation_type());
  return packed_copies->at(packed_count_++, elements, backend_);
}

Shape UnaryLayer::build(Build& build, std::span<const Shape> in) {
  if (in.size() != 1) throw Error("layer '{}' takes one input, not {}", build.path(), in.size());
  return this->build(build, in[0]);
}

Tensor UnaryLayer::forward(const Pass& pass, std::span<const Tensor> x) {
  return forward(pass, x[0]);
}

void UnaryLayer::backward(const Pass& pass, const Tensor& dy, std::span<Tensor> dx) {
  dx[0] = backward(pass, dy);
}

void UnaryLayer::add_backward(const Pass& pass, const Tensor& dy, Tensor& sum) {
  const Tensor dx = backward(pass, dy);
  pass.backend.add(pass.stream, sum, dx, sum);
}

Tensor UnaryLayer::forward_with(const Pass&, const Tensor&, const Epilogue&) {
  throw Error("a layer was given an epilogue that it does not take");
}

bool any_trains(std::initializer_list<const Param*> params) {
  return std::ranges::any_of(params,
                             [](const Param* param) { return param != nullptr && param->trains; });
}

Tensor host_floats(const Tensor& tensor) {
  const Tensor host = tensor.to_host();
  if (host.dtype() != DType::kBFloat16) return host;
  const Tensor floats = host_tensor(host.shape(), DType::kFloat32);
  const auto* const from = reinterpret_cast<const std::uint16_t*>(host.raw());
  std::transform(from, from + host.elements(), floats.data<float>(), from_bfloat16);
  return floats;
}

void check_finite(const Pass& pass, const std::string& path, const Tensor& y) {
  const Tensor host = host_floats(y);
  const std::span<const float> values = host.span<float>();
  const std::int64_t row_elements = host.shape().without_rows().elements();
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    const auto row = static_cast<std::int64_t>(i) / row_elements;
    throw Error(
        "the output of layer '{}' is the first that is not finite: {} for sample {} of the "
        "split. Lower optimizer.lr, set training.clip_norm, or look at that sample",
        path, values[i],
        pass.sample_ids.to_host().span<std::int64_t>()[static_cast<std::size_t>(row)]);
  }
}

}  // namespace lockstep
