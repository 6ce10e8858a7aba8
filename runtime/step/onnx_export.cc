#include "runtime/step/onnx_export.h"

#include <algorithm>

#include "io/dataset/dataset.h"

namespace lockstep {

std::string OnnxExport::node(const std::string& op, const std::vector<std::string>& inputs,
                             const std::vector<OnnxAttribute>& attributes, int output) {
  return graph_.add_node(op, fmt::format("{}{}{}", path_, path_.empty() ? "" : "/", op), inputs,
                         attributes, output);
}

OnnxValue OnnxExport::map(const std::string& op, const OnnxValue& x,
                          const std::vector<OnnxAttribute>& attributes) {
  return {node(op, {x.name}, attributes), x.sample};
}

Tensor OnnxExport::file_values(const Param& param) const {
  Tensor values = host_tensor(param.spec.file_shape, DType::kFloat32);
  backend_.to_file_order(param.spec.layout, param.spec.file_shape, param.value, values);
  return values;
}

std::string OnnxExport::param(const Param& param) {
  return graph_.add_constant(param.name, file_values(param));
}

std::string OnnxExport::transposed_param(const Param& param) {
  const Tensor values = file_values(param);
  LOCKSTEP_CHECK(values.shape().rank() == 2, "'{}' has other than two axes", param.name);
  const std::int64_t rows = values.shape()[0], columns = values.shape()[1];
  const Tensor turned = host_tensor({columns, rows}, DType::kFloat32);
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t column = 0; column < columns; ++column)
      turned.data<float>()[column * rows + row] = values.data<float>()[row * columns + column];
  return graph_.add_constant(param.name + "_transposed", turned);
}

std::string OnnxExport::constant(const std::string& name, const std::vector<float>& values,
                                 const Shape& shape) {
  const Tensor tensor = host_tensor(shape, DType::kFloat32);
  std::ranges::copy(values, tensor.span<float>().begin());
  return graph_.add_constant(name, tensor);
}

const OnnxGraph& OnnxExport::finish(const OnnxValue& y, const std::string& name) {
  const std::string output = graph_.add_node("Identity", name, {y.name});
  LOCKSTEP_CHECK(output == name, "a value is called '{}' already", name);
  return graph_;
}

std::string OnnxExport::number(float value) {
  return constant(path_ + "/number", {value}, {});
}

std::string OnnxExport::integers(const std::vector<std::int64_t>& values) {
  const Tensor tensor = host_tensor({static_cast<std::int64_t>(values.size())}, DType::kInt64);
  std::ranges::copy(values, tensor.span<std::int64_t>().begin());
  return graph_.add_constant(path_ + "/integers", tensor);
}

std::vector<float> OnnxExport::values(const Param& param) const {
  const Tensor tensor = file_values(param);
  return {tensor.span<float>().begin(), tensor.span<float>().end()};
}

std::string OnnxExport::transposed(const std::string& x, const std::vector<std::int64_t>& axes) {
  return node("Transpose", {x}, {{"perm", axes}});
}

std::string OnnxExport::reshaped(const std::string& x, const std::vector<std::int64_t>& sizes) {
  return node("Reshape", {x, integers(sizes)});
}

std::string OnnxExport::not_padding(std::int64_t padding) {
  LOCKSTEP_CHECK(!ids_.empty(), "layer '{}' asks for ids, and the network reads none", path_);
  const std::string is_padding = node("Equal", {ids_, integers({padding})});
  return node("Cast", {node("Not", {is_padding})}, {{"to", std::int64_t{1}}});  // float32
}

std::string OnnxExport::channels_last(const OnnxValue& x) {
  return x.sample.rank() == 3 ? transposed(x.name, {0, 2, 3, 1}) : x.name;
}

std::string OnnxExport::channels_first(const std::string& name, const Shape& sample) {
  return sample.rank() == 3 ? transposed(name, {0, 3, 1, 2}) : name;
}

namespace {

// Of a sample's tensor in the graph, without rows.
std::vector<std::int64_t> sizes_of(const Shape& sample) {
  std::vector<std::int64_t> sizes(sample.sizes().begin(), sample.sizes().end());
  if (sizes.size() == 3) std::rotate(sizes.begin(), sizes.begin() + 2, sizes.end());
  return sizes;
}

std::string normalised(OnnxExport& onnx, const OnnxSource& source, const std::string& x) {
  if (source.scale.empty() || source.network.input_type() == DType::kInt64) return x;
  const auto factors = static_cast<std::int64_t>(source.scale.size());
  const Shape shape = source.sample.rank() == 3 ? Shape{factors, 1, 1} : Shape{factors};
  const std::string scaled =
      onnx.node("Mul", {x, onnx.constant("normalisation/scale", source.scale, shape)});
  return onnx.node("Add", {scaled, onnx.constant("normalisation/shift", source.shift, shape)});
}

}  // namespace

void export_onnx(const std::string& path, const OnnxSource& source, OnnxModel model) {
  const Shape& image = source.build.flattened_image;
  if (image.rank() == 3 && image[2] > 1 && image[0] * image[1] > 1)
    throw Error(
        "the network ends in the flattened image {}, whose order in ONNX is another; end it with a "
        "linear layer, or leave the flattening to whoever runs it",
        image.to_string());
  model.input.type = source.network.input_type();
  OnnxExport onnx(source.build.backend(),
                  model.input.type == DType::kInt64 ? model.input.name : "");
  onnx.enter("normalisation");
  const std::string x = normalised(onnx, source, model.input.name);
  onnx.enter("");
  const OnnxValue y = source.network.to_onnx(onnx, {x, source.sample});
  model.input.sizes = sizes_of(source.sample);
  model.output.sizes = sizes_of(source.output);
  write_onnx(path, model, onnx.finish(y, model.output.name));
}

}  // namespace lockstep
