// ONNX models, the part that writes (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto):
// nodes, constants, one input and one output, with a number of rows that is open.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "io/formats/protobuf.h"
#include "kernels/core/tensor.h"

namespace lockstep {

struct OnnxAttribute {
  std::string name;
  std::variant<std::int64_t, float, std::string, std::vector<std::int64_t>,
               std::vector<std::string>>
      value;
};

// Values are known by name; a value is used only behind the node that makes it.
class OnnxGraph {
 public:
  // `name` is the node's and its output's; it is returned, with a number where it is taken.
  // `output`: which of the operator's outputs is meant; the others are left out.
  std::string add_node(const std::string& op, const std::string& name,
                       const std::vector<std::string>& inputs,
                       const std::vector<OnnxAttribute>& attributes = {}, int output = 0);
  // A host tensor of float32 or int64 under a name of its own, returned likewise.
  std::string add_constant(const std::string& name, const Tensor& values);

  const ProtoMessage& message() const { return message_; }

 private:
  std::string unique(const std::string& name);

  ProtoMessage message_;
  std::map<std::string, int> taken_;  // how often
};

// A tensor of float32 or int64, (N, sizes...), N open.
struct OnnxPort {
  std::string name;
  std::vector<std::int64_t> sizes;
  DType type = DType::kFloat32;
};

struct OnnxModel {
  std::string name, producer_version, description;
  OnnxPort input, output;
  std::map<std::string, std::string> metadata;
};

// Opset 17. Equal contents give equal bytes; the file appears under its name when it is complete.
// Throws Error for a model beyond protobuf's 2 GiB.
void write_onnx(const std::string& path, const OnnxModel& model, const OnnxGraph& graph);

}  // namespace lockstep
