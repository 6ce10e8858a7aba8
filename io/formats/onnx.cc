#include "io/formats/onnx.h"

#include <limits>

#include "io/base/file.h"

namespace lockstep {

namespace {

constexpr std::int64_t kIrVersion = 8, kOpset = 17;  // those of onnx 1.12, 2022

// Numbers of fields, a message each, as in onnx.proto.
namespace model_field {
enum {
  kIr = 1,
  kProducer = 2,
  kProducerVersion = 3,
  kDescription = 6,
  kGraph = 7,
  kOpsets = 8,
  kMetadata = 14
};
}
namespace graph_field {
enum { kNode = 1, kName = 2, kInitializer = 5, kInput = 11, kOutput = 12 };
}
namespace node_field {
enum { kInput = 1, kOutput = 2, kName = 3, kOp = 4, kAttribute = 5 };
}
namespace attribute_field {
enum { kName = 1, kFloat = 2, kInt = 3, kString = 4, kInts = 8, kStrings = 9, kType = 20 };
}
namespace tensor_field {
enum { kDims = 1, kType = 2, kName = 8, kRaw = 9 };
}
enum AttributeType { kFloat = 1, kInt = 2, kString = 3, kInts = 7, kStrings = 8 };

std::int64_t element_type(DType type) {
  LOCKSTEP_CHECK(type == DType::kFloat32 || type == DType::kInt64, "ONNX tensor of {}",
                 name_of(type));
  return type == DType::kFloat32 ? 1 : 7;
}

ProtoMessage message_of(const OnnxAttribute& attribute) {
  ProtoMessage message;
  message.bytes(attribute_field::kName, attribute.name);
  if (const auto* number = std::get_if<std::int64_t>(&attribute.value)) {
    message.integer(attribute_field::kInt, *number).integer(attribute_field::kType, kInt);
  } else if (const auto* real = std::get_if<float>(&attribute.value)) {
    message.single(attribute_field::kFloat, *real).integer(attribute_field::kType, kFloat);
  } else if (const auto* text = std::get_if<std::string>(&attribute.value)) {
    message.bytes(attribute_field::kString, *text).integer(attribute_field::kType, kString);
  } else if (const auto* numbers = std::get_if<std::vector<std::int64_t>>(&attribute.value)) {
    for (const std::int64_t value : *numbers) message.integer(attribute_field::kInts, value);
    message.integer(attribute_field::kType, kInts);
  } else {
    for (const std::string& one : std::get<std::vector<std::string>>(attribute.value))
      message.bytes(attribute_field::kStrings, one);
    message.integer(attribute_field::kType, kStrings);
  }
  return message;
}

// ValueInfoProto: name and type; TypeProto: a tensor's element type and shape; dimensions have a
// value, or the name of what is open.
ProtoMessage message_of(const OnnxPort& port) {
  ProtoMessage shape;
  shape.message(1, ProtoMessage().bytes(2, "N"));
  for (const std::int64_t size : port.sizes) shape.message(1, ProtoMessage().integer(1, size));
  const ProtoMessage tensor = ProtoMessage().integer(1, element_type(port.type)).message(2, shape);
  return ProtoMessage().bytes(1, port.name).message(2, ProtoMessage().message(1, tensor));
}

}  // namespace

std::string OnnxGraph::unique(const std::string& name) {
  const int before = taken_[name]++;
  return before == 0 ? name : unique(fmt::format("{}_{}", name, before));
}

std::string OnnxGraph::add_node(const std::string& op, const std::string& name,
                                const std::vector<std::string>& inputs,
                                const std::vector<OnnxAttribute>& attributes, int output) {
  std::string value = unique(name);
  ProtoMessage node;
  for (const std::string& input : inputs) node.bytes(node_field::kInput, input);
  for (int i = 0; i < output; ++i) node.bytes(node_field::kOutput, "");
  node.bytes(node_field::kOutput, value).bytes(node_field::kName, value).bytes(node_field::kOp, op);
  for (const OnnxAttribute& attribute : attributes)
    node.message(node_field::kAttribute, message_of(attribute));
  message_.message(graph_field::kNode, node);
  return value;
}

std::string OnnxGraph::add_constant(const std::string& name, const Tensor& values) {
  std::string given = unique(name);
  ProtoMessage tensor;
  for (const std::int64_t size : values.shape().sizes()) tensor.integer(tensor_field::kDims, size);
  tensor.integer(tensor_field::kType, element_type(values.dtype()))
      .bytes(tensor_field::kName, given)
      .bytes(tensor_field::kRaw, {reinterpret_cast<const char*>(values.raw()), values.bytes()});
  message_.message(graph_field::kInitializer, tensor);
  return given;
}

void write_onnx(const std::string& path, const OnnxModel& model, const OnnxGraph& graph) {
  ProtoMessage whole = graph.message();
  whole.bytes(graph_field::kName, model.name)
      .message(graph_field::kInput, message_of(model.input))
      .message(graph_field::kOutput, message_of(model.output));
  ProtoMessage message;
  message.integer(model_field::kIr, kIrVersion)
      .bytes(model_field::kProducer, "lockstep")
      .bytes(model_field::kProducerVersion, model.producer_version)
      .bytes(model_field::kDescription, model.description)
      .message(model_field::kGraph, whole)
      .message(model_field::kOpsets, ProtoMessage().bytes(1, "").integer(2, kOpset));
  for (const auto& [key, value] : model.metadata)
    message.message(model_field::kMetadata, ProtoMessage().bytes(1, key).bytes(2, value));
  const std::size_t bytes = message.text().size();
  if (bytes > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()))
    throw Error("{}: {} bytes, more than an ONNX file can hold (2 GiB)", path, bytes);
  write_text(path, message.text());
}

}  // namespace lockstep
