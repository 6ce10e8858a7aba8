// Layer: what a network is made of. build() once, then forward() and backward() for every shard.
// There is no graph engine and no tape: composite layers call their children in reverse order.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "runtime/step/gradient_slots.h"
#include "runtime/step/packed_copies.h"
#include "runtime/step/params.h"

namespace lockstep {

class OnnxExport;
struct OnnxValue;

// Sees what flows through a network's layers, in a pass that explains itself (`check step`).
class LayerObserver {
 public:
  virtual ~LayerObserver() = default;
  // Of the layer called `path`: its output, and in backward the gradient with respect to it. The
  // tensors may be overwritten as soon as the call is over.
  virtual void output(const std::string& path, const Tensor& y) = 0;
  virtual void gradient(const std::string& path, const Tensor& dy) = 0;
};

// One shard's way through the network.
struct Pass {
  Backend& backend;
  Stream& stream;
  bool training = true;  // false: evaluation (running statistics, no dropout)
  std::uint64_t seed = 0;
  std::int64_t step = 0;             // keys dropout
  std::int64_t weights_version = 1;  // changes with the weights: packed copies are made anew then
  Tensor sample_ids;                 // int64 (rows)
  Tensor ids{};  // int64 (rows, T): the network's input where it asks for ids, else undefined
  // Called once for every parameter when its gradient is final and its value is read no more in
  // this pass: a layer reports after its data gradient.
  std::function<void(const Param&)> on_ready;
  // Names the first layer whose output is not finite, by an Error; costs a scan of every output.
  bool check_finite = false;
  LayerObserver* observer = nullptr;

  // Whether layers may run in one operation with those that follow them: every output that somebody
  // wants to see is a tensor of its own, and so is what backward reads.
  bool joins_layers() const { return !training && !check_finite && observer == nullptr; }
  void ready(const Param* param) const {
    if (param != nullptr && param->trains && on_ready) on_ready(*param);
  }
};

// What a layer asks for while it is built: parameters by name, buffers, and what it may assume.
class Build {
 public:
  Build(Backend& backend, ParamSet& params, std::int64_t max_rows);

  Backend& backend() { return backend_; }
  std::int64_t max_rows() const { return max_rows_; }

  // Names nest: inside scope("layer1") the parameter "weight" is called "layer1.weight".
  class Scope {
   public:
    Scope(Build& build, const std::string& name);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Build& build_;
    std::size_t length_;
  };
  std::string path(const std::string& name = {}) const;  // "layer1.conv1", for messages

  Param* param(const std::string& name, const ParamSpec& spec);
  // An activation or a gradient of it, of the backend's type for them: (max_rows, sample...).
  // forward() uses its first rows.
  Tensor buffer(const Shape& sample) { return buffer(sample, backend_.activation_type()); }
  Tensor buffer(const Shape& sample, DType type);  // what goes beside activations: masks, places
  // The dx that a layer gives to the one before it, which shares memory with those of others: its
  // contents last until that layer's backward is through.
  Tensor gradient_buffer(const Shape& sample);
  // A copy of dy that lasts while what was built since the mark runs backward.
  Tensor gradient_copy(const Shape& sample, std::size_t mark);
  GradientSlots& gradients() { return gradients_; }
  // What does not grow with the rows, such as statistics of a shard.
  Tensor fixed_buffer(const Shape& shape, DType type = DType::kFloat32);
  Tensor constant(const Shape& shape, float value);
  // Of weights, for an operation that reads them in another order; lives as long as
  // `packed_copies`.
  PackedCopy& packed_copy(std::int64_t elements);
  std::uint32_t next_random_layer() { return random_layers_++; }  // one a dropout layer

  // Parameters that do not train. Layers need not know: a frozen parameter's gradient goes nowhere.
  std::set<std::string> frozen;
  // Whether the layer's input needs a gradient: some parameter that trains lies before it.
  bool gradient_flows = false;
  // Whether the layer may write its output over its input (the producer reads it no more).
  bool input_overwritable = false;
  // Rank 3 (H, W, C) while the layer's input is that image, flattened in this order: a linear layer
  // then asks for files with columns in PyTorch's order C, H, W. Rank 0 otherwise.
  Shape flattened_image;
  // Where the network's packed copies are, those of all replicas of a rank.
  std::shared_ptr<PackedCopies> packed_copies = std::make_shared<PackedCopies>();
  // What a replica may do once the weights have changed, beside other replicas, in any order.
  std::vector<std::function<void(const Pass&)>> preparations;
  // Convolutions are computed by plain sums alone (ConvGeometry::direct).
  bool direct_convolutions = false;
  // The ids that an embedding has turned into the tokens that reach the layer.
  struct Ids {
    std::int64_t tokens = 0, count = 0;  // T, and how many ids there are; 0: no ids
  } ids;
  // For a layer that treats the tokens (T, C) of the id `padding` in a way of its own: Error where
  // it is no id, or where the network's input is not one id for each of these tokens.
  void check_padding(std::int64_t padding, std::int64_t tokens, const std::string& kind) const;
  // Of what reaches the layer: int64 for the first layer of a network that asks for ids
  // (Layer::input_type), float32 otherwise.
  DType input_type = DType::kFloat32;

  // One line a leaf layer, for `inspect`: name, output shape, parameters.
  struct Row {
    std::string name, kind;
    Shape output;
    std::int64_t parameters = 0;
    // A sample, forward, counted as fvcore does, whose figures timm's tables quote: products and
    // convolutions without their biases, batch norm as 2 an element, layer norm as 5, averages over
    // the image as 1; activations, sums and factors not.
    std::int64_t multiply_adds = 0;
  };
  std::vector<Row> table;
  std::size_t activation_bytes() const { return activation_bytes_; }  // of all rows
  std::size_t buffer_bytes() const { return buffer_bytes_ + gradients_.bytes(); }
  std::size_t packed_bytes() const { return packed_bytes_; }  // of packed copies

 private:
  Backend& backend_;
  ParamSet& params_;
  std::int64_t max_rows_;
  std::string prefix_;
  std::uint32_t random_layers_ = 0;
  std::size_t packed_count_ = 0;
  std::size_t activation_bytes_ = 0, buffer_bytes_ = 0, packed_bytes_ = 0;
  GradientSlots gradients_;
};

class Layer {
 public:
  virtual ~Layer() = default;
  // Shapes are those of one sample, without rows. Registers parameters, allocates buffers; returns
  // the output's shape. Throws Error naming the layer's path when the input does not fit.
  virtual Shape build(Build& build, std::span<const Shape> in) = 0;
  // The result lives until the next forward of this layer.
  virtual Tensor forward(const Pass& pass, std::span<const Tensor> x) = 0;
  // Writes every parameter's gradient (overwriting, or adding where Param::adds), reports it, and
  // gives dx[i] for each input; dx[i] stays undefined where no gradient flows. May overwrite dy.
  virtual void backward(const Pass& pass, const Tensor& dy, std::span<Tensor> dx) = 0;
  // Whether backward reads the output of forward, which must then not be overwritten.
  virtual bool keeps_output() const { return false; }
  // What forward takes where the layer stands first. float32: numbers, whatever type the data have,
  // normalised where the data say how. int64: ids, as the data hold them.
  virtual DType input_type() const { return DType::kFloat32; }
  // Adds the layer, as it is in evaluation, to an ONNX graph (onnx_export.h), once it is built and
  // its values are bound. Throws Error naming the layer's path where ONNX has no such thing.
  virtual OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const;
};

// A layer of one input: what most layers derive from.
class UnaryLayer : public Layer {
 public:
  virtual Shape build(Build& build, const Shape& in) = 0;
  virtual Tensor forward(const Pass& pass, const Tensor& x) = 0;
  virtual Tensor backward(const Pass& pass, const Tensor& dy) = 0;
  // Where Pass::joins_layers: forward and what follows it in one operation; only where the layer
  // takes that epilogue.
  virtual bool takes(const Epilogue&) const { return false; }
  virtual Tensor forward_with(const Pass& pass, const Tensor& x, const Epilogue& epilogue);
  // What the layer does in evaluation, where that can be an epilogue of the layer before it.
  virtual std::optional<Epilogue> as_epilogue() const { return {}; }
  // backward, whose dx is added to `sum`. Only where a gradient flows to x.
  virtual void add_backward(const Pass& pass, const Tensor& dy, Tensor& sum);

  Shape build(Build& build, std::span<const Shape> in) final;
  Tensor forward(const Pass& pass, std::span<const Tensor> x) final;
  void backward(const Pass& pass, const Tensor& dy, std::span<Tensor> dx) final;
};

// Whether one of the parameters trains; null stands for one that the layer has not.
bool any_trains(std::initializer_list<const Param*> params);

// A float32 or bfloat16 tensor on the host, as float32; blocks.
Tensor host_floats(const Tensor& tensor);

// Throws an Error naming `path` if a value of `y` is not finite.
void check_finite(const Pass& pass, const std::string& path, const Tensor& y);

}  // namespace lockstep
