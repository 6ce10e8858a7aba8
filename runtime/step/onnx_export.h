// What a layer is given to say what it is in ONNX (Layer::to_onnx): values, its parameters as
// constants, nodes. Images are (N, C, H, W) in the graph, all other samples as in memory.
#pragma once

#include <string>
#include <vector>

#include "io/formats/onnx.h"
#include "runtime/step/layer.h"

namespace lockstep {

struct OnnxValue {
  std::string name;
  Shape sample;  // as layers have it: (H, W, C) for what is (N, C, H, W) in the graph
};

class OnnxExport {
 public:
  // `ids`: the graph's input, where the network reads ids.
  explicit OnnxExport(Backend& backend, std::string ids = {})
      : backend_(backend), ids_(std::move(ids)) {}

  // The layer that speaks, in names of nodes and in messages.
  void enter(std::string path) { path_ = std::move(path); }
  const std::string& path() const { return path_; }
  // Gives the last value its name in the model.
  const OnnxGraph& finish(const OnnxValue& y, const std::string& name);

  // A node of this layer; gives its output's name.
  std::string node(const std::string& op, const std::vector<std::string>& inputs,
                   const std::vector<OnnxAttribute>& attributes = {}, int output = 0);
  // A node of this layer with one input, whose output has the same shape.
  OnnxValue map(const std::string& op, const OnnxValue& x,
                const std::vector<OnnxAttribute>& attributes = {});

  // A parameter under its own name, in PyTorch's shape and order.
  std::string param(const Param& param);
  std::string transposed_param(const Param& param);  // of two axes
  std::string constant(const std::string& name, const std::vector<float>& values,
                       const Shape& shape);
  std::string number(float value);  // a scalar
  std::string integers(const std::vector<std::int64_t>& values);
  std::vector<float> values(const Param& param) const;  // in PyTorch's order
  std::string transposed(const std::string& x, const std::vector<std::int64_t>& axes);
  // A size of 0 stands for that of x.
  std::string reshaped(const std::string& x, const std::vector<std::int64_t>& sizes);
  // (N, T): 1 where the network's input holds another id than `padding`, else 0.
  std::string not_padding(std::int64_t padding);

  // The axis of a value's channels in the graph, and a value with its channels last, and back.
  static std::int64_t channel_axis(const Shape& sample) { return sample.rank() == 3 ? 1 : -1; }
  std::string channels_last(const OnnxValue& x);
  std::string channels_first(const std::string& name, const Shape& sample);

 private:
  Tensor file_values(const Param& param) const;

  Backend& backend_;
  OnnxGraph graph_;
  std::string path_, ids_;
};

// A network whose values are bound, and what stands before its first layer.
struct OnnxSource {
  const Layer& network;
  Build& build;  // that it was built with
  Shape sample, output;
  std::vector<float> scale,
      shift;  // x · scale + shift, by channel or column; empty, or x of ids: x as it is
};

// Writes the network in evaluation mode, its normalisation included; `model` has all but the sizes
// of its input and its output. Throws Error naming a layer without an ONNX form.
void export_onnx(const std::string& path, const OnnxSource& source, OnnxModel model);

}  // namespace lockstep
