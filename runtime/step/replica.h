// Replica: one instance of the model, bound to the rank's shared values, with activations and
// gradients of its own: the unit that runs a shard. One a worker thread on a CPU, one or a few on a
// GPU.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "io/loading/loader.h"
#include "runtime/step/layer.h"
#include "runtime/step/loss.h"
#include "runtime/step/reducer.h"
#include "runtime/step/scalars.h"
#include "runtime/step/step_numbers.h"

namespace lockstep {

// Of device memory that a replica has beside activations and copies of weights.
inline constexpr const char* kReplicaUse = "inputs and losses";

// What a replica is built from; the same for all replicas of a job.
struct Blueprint {
  std::function<std::unique_ptr<Layer>()> make_network;
  std::function<std::unique_ptr<Loss>()> make_loss;  // empty: predict() alone is called
  // Throws Error where what the network puts out does not fit the data; empty: no such check.
  std::function<void(const Shape& output)> check_output{};
  Shape sample;  // of x, without rows
  DType x_type = DType::kFloat32;
  TargetKind target = TargetKind::kNone;
  std::int64_t target_columns = 1;
  std::vector<float> scale, shift;  // x · scale + shift, by channel or column; empty: x as it is
  std::uint64_t seed = 0;
  bool direct_convolutions = false;  // model.convolution = "direct"
  std::set<std::string> frozen{};    // parameters that do not train
};

// scale and shift that turn x into (x - mean) / std, where uint8 counts as x / 255; mean and std
// may be empty (no normalisation) or hold one value or one a channel (the last axis).
void set_normalization(Blueprint& blueprint, const std::vector<double>& mean,
                       const std::vector<double>& std);

class Replica {
 public:
  // packed_copies: those that it shares with other replicas; null: it has its own.
  Replica(const Blueprint& blueprint, std::int64_t max_rows, Backend& backend, Stream& stream,
          std::shared_ptr<PackedCopies> packed_copies = nullptr);

  ParamSet& params() { return params_; }
  Build& build() { return build_; }
  const Layer& network() const { return *network_; }
  const Shape& output_shape() const { return output_shape_; }
  std::int64_t elements() const { return params_.elements(); }
  // Of activations and their gradients; without packed weights, values and gradients of parameters.
  std::size_t buffer_bytes() const;
  Loss& loss() { return *loss_; }

  // Forward, loss, backward of one shard: gradients into the reducer's tree, sums into `numbers`.
  // The batch must not change before the numbers are finished.
  void train_shard(const ShardBatch& batch, std::int64_t shard, std::int64_t step,
                   std::int64_t weights_version, Reducer& reducer, StepNumbers& numbers);
  // Second copies of weights, once for each version of them, on that stream: where train_shard is
  // to find them made.
  void prepare(Stream& stream, std::int64_t weights_version);
  // Training of so many rows of zeros, to no effect: whatever memory and plans the shape takes are
  // then there. Gradients are bound.
  void warm_up(std::int64_t rows, std::int64_t weights_version);
  // Forward and loss with running statistics and without dropout. The output, float32 (undefined if
  // the batch is empty), lives until the next call.
  Tensor evaluate_shard(const ShardBatch& batch, std::int64_t weights_version,
                        ShardScalars& scalars);
  // The network's output for the rows of the batch, float32; lives until the next call.
  Tensor predict(const ShardBatch& batch, std::int64_t weights_version,
                 LayerObserver* observer = nullptr);

 private:
  Pass make_pass(const ShardBatch& batch, const Tensor& x, std::int64_t weights_version,
                 bool training);
  Tensor input(const Tensor& x);
  Tensor in_float32(const Tensor& output);
  void prepare(const Pass& pass);  // once for each version of the weights
  Tensor forward(const Pass& pass, const Tensor& x);
  // In evaluation: some rows at a time through all layers.
  Tensor forward_evaluating(const Pass& pass, const Tensor& x);
  void backward(const Pass& pass, const Tensor& doutput);
  // Fills sums_; the gradient with respect to the output, where that is asked for.
  Tensor score(const Pass& pass, const ShardBatch& batch, const Tensor& output, bool gradient);
  [[noreturn]] void explain_loss(const ShardBatch& batch, std::int64_t step,
                                 std::int64_t weights_version, double loss);

  Backend& backend_;
  Stream& stream_;
  std::uint64_t seed_;
  Shape sample_;
  DType x_type_;
  TargetKind target_;
  std::int64_t target_columns_;
  ParamSet params_;
  Build build_;
  std::unique_ptr<Layer> network_;
  std::unique_ptr<Loss> loss_;
  Shape output_shape_;
  Tensor x_, scale_, shift_;            // input that is not as it comes; its factors
  Tensor frozen_gradients_;             // that nobody reads
  std::int64_t rows_at_once_;           // in evaluation
  Tensor output_;                       // of all rows, where not all go at once
  Tensor output_in_float32_;            // where activations are not
  std::int64_t prepared_version_ = -1;  // of the weights; none yet
  Tensor sums_, host_sums_;             // of the loss, then of its metrics
};

}  // namespace lockstep
