// ParamSet: the model's parameters by name, each a view into one flat buffer of values and one flat
// buffer of gradients. Trainable parameters come first; statistics (running averages of batch norm)
// follow from a block boundary on, so that no block of the gradient norm mixes the two. What is
// frozen comes last, from a block boundary on: the buffer of gradients ends before it.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "kernels/core/initializers.h"

namespace lockstep {

enum class ParamKind {
  kTrainable,
  kStatistic,  // its "gradient" is rows · statistic of the shard; its update a running average
};

struct ParamSpec {
  Shape file_shape;  // as PyTorch's state dict has it
  ParamLayout layout;
  Initializer initializer;
  ParamKind kind = ParamKind::kTrainable;
  bool weight_decay = true;    // false for biases and norms: see optimizer.decay_norms_and_biases
  float average_momentum = 0;  // kStatistic: weight of the new value
  // The layer can add a shard's gradient to that of the shards before it, see Param::adds.
  bool adds_gradient = false;
};

struct Param {
  std::string name;  // "conv1.weight", timm's and PyTorch's
  ParamSpec spec;
  bool trains = true;       // false: frozen, no step changes it
  int index = 0;            // place in the order of registration: the initialisers' key
  std::int64_t offset = 0;  // of the first element in the flat buffers; a multiple of 64
  std::int64_t elements = 0;
  Tensor value, grad;  // flat views; the layer's kernels know their order
  bool adds =
      false;  // of this shard: grad holds a sum, to which the layer adds; else it overwrites
};

class ParamSet {
 public:
  // The address stays valid. Throws Error when the name is taken.
  Param* add(std::string name, const ParamSpec& spec);
  void place();  // gives every parameter its offset; called once, when the model is built

  const std::deque<Param>& all() const { return params_; }
  Param* find(const std::string& name);                // null if there is none
  std::int64_t elements() const { return elements_; }  // of the flat values, padding included
  std::int64_t trained_elements() const { return trained_elements_; }  // of the flat gradients
  std::int64_t trainable_end() const { return trainable_end_; }        // where statistics begin
  std::int64_t count(ParamKind kind) const;                            // elements without padding

  void bind_values(Device& device, float* flat);
  void bind_trained_values(Device& device, float* flat);  // what is frozen keeps its place
  // sum: what the gradients that can be added are added to; null: all are written to `flat`.
  void bind_gradients(Device& device, float* flat, float* sum = nullptr);
  // Layers that train in part, or that gradients pass through, may write gradients of what is
  // frozen: to a place of which nobody reads, of so many elements. Layers take turns in it.
  std::int64_t scratch_elements() const { return scratch_elements_; }
  void bind_frozen_gradients(const Tensor& scratch);
  // Fills the bound values with their initialisers' numbers, keyed by (seed, index, element).
  void initialize(Backend& backend, std::uint64_t seed);

 private:
  void for_each_scratch_place(const std::function<void(Param&, std::int64_t)>& visit);

  std::deque<Param> params_;
  std::int64_t elements_ = 0, trained_elements_ = 0, trainable_end_ = 0, scratch_elements_ = 0;
};

}  // namespace lockstep
