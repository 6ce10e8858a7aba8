// BatchNorm over all axes but the last (BatchNorm1d of vectors, BatchNorm2d of images): parameters
// "weight" and "bias", statistics "running_mean" and "running_var", as PyTorch's. It normalises
// within a shard; the running statistics follow the tree mean over the shards, once a step.
// Where those are frozen, it normalises by them in training too, and leaves them as they are.
// PyTorch's counter num_batches_tracked is neither kept nor written: momentum is a constant here.
#pragma once

#include "models/layers/pool.h"

namespace lockstep {

class BatchNorm final : public UnaryLayer {
 public:
  // gamma: what "weight" starts with. 0 behind the last convolution of a residual branch makes
  // the block the identity at first (Goyal et al. 2017, "zero gamma").
  explicit BatchNorm(float epsilon = 1e-5f, float momentum = 0.1f, float gamma = 1.0f);
  // y = relu(batch_norm(x) + residual) from then on, in one operation with the bits of three. For
  // backward one bit an element is kept, where the statistics are not frozen. Before build.
  void end_with_relu() { relu_ = true; }
  // y = relu(batch_norm(x)) is stored only where the statistics are frozen; elsewhere one operation
  // pools it, too. Before build.
  void end_with_max_pool() { relu_ = pooled_ = true; }

  Shape build(Build& build, const Shape& in) override;
  using UnaryLayer::backward;
  using UnaryLayer::forward;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  std::optional<Epilogue> as_epilogue() const override;
  // Only with the ReLU: residual, and its gradient; either may be undefined.
  Tensor forward(const Pass& pass, const Tensor& x, const Tensor& residual);
  Tensor backward(const Pass& pass, const Tensor& dy, Tensor& dresidual);
  // Only where it pools; pooled is filled by forward and read by backward, dy is that of its y.
  bool pools() const { return pooled_ && !frozen_; }
  void forward(const Pass& pass, const Tensor& x, const PoolGeometry& windows,
               MaxPool2d::Result& pooled);
  Tensor backward(const Pass& pass, const Tensor& dy, const PoolGeometry& windows,
                  const MaxPool2d::Result& pooled);
  bool keeps_output() const override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x, const OnnxValue& residual) const;

 private:
  BatchNormOptions options_;
  float momentum_;  // weight of the new statistics
  float gamma_;
  bool relu_ = false, pooled_ = false, data_gradient_ = false;
  bool frozen_ = false;  // the statistics
  Param* weight_ = nullptr;
  Param* bias_ = nullptr;
  Param* running_mean_ = nullptr;
  Param* running_var_ = nullptr;
  OnnxValue normalised_in_onnx(OnnxExport& onnx, const OnnxValue& x) const;
  Tensor backward_by_batch(const Pass& pass, const Tensor& dy, Tensor& dresidual);
  Tensor backward_by_statistics(const Pass& pass, const Tensor& dy, Tensor& dresidual);
  void ready(const Pass& pass) const;

  Tensor saved_mean_, saved_inv_std_;
  Tensor zeros_, ones_;  // one a channel, where the statistics are frozen
  Tensor mask_;          // of the ReLU, where the statistics are those of the batch
  Tensor x_, y_, dx_;
};

}  // namespace lockstep
