// StepTracer: one shard's forward and backward pass with every intermediate copied, and gradients
// by finite differences beside it. For looking at small networks and explaining large ones; the
// training step itself is Trainer::step.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/step/replica.h"

namespace lockstep {

// Gradients are those of the batch's loss: the weighted mean over its rows. Host tensors.
struct TracedLayer {
  std::string path;
  Tensor output, gradient;  // gradient undefined: backward does not reach this layer
};

// Central differences of the loss, element by element; of large tensors a few elements.
struct Differences {
  Tensor values;  // of the gradient's shape; NaN where none was taken
  std::int64_t taken = 0;
  double deviation = 0;  // the largest |gradient - difference|, over the largest gradient
  bool agree = true;     // within what float32 and the width of a step explain
};

struct TracedParameter {
  std::string name;
  ParamKind kind = ParamKind::kTrainable;
  Tensor value, gradient;  // in the file's (PyTorch's) shape and order
  Differences differences;
};

struct StepTrace {
  Tensor input, input_gradient;  // as the network sees it, after normalisation
  Differences input_differences;
  std::vector<TracedLayer> layers;  // in the order in which they ran
  double loss = 0, weight = 0;
  std::vector<std::pair<std::string, double>> metrics;
  std::vector<TracedParameter> parameters;
};

class StepTracer final : private LayerObserver {
 public:
  StepTracer(const Blueprint& blueprint, std::int64_t max_rows, Backend& backend);
  ~StepTracer() override;

  ParamSet& params() { return params_; }  // bound; their values are to be set before trace()
  StepTrace trace(const ShardBatch& batch);
  // A parameter's values, in the file's order.
  Tensor in_file_order(const Param& param, const Tensor& flat) const;

 private:
  void output(const std::string& path, const Tensor& y) override;
  void gradient(const std::string& path, const Tensor& dy) override;
  Tensor run_loss(bool with_gradient);            // on input_; fills the sums
  Tensor mean(const Tensor& sum_gradient) const;  // a copy on the host, over the batch's weight
  struct Slope {
    double central, bend;  // bend: the right side's slope less the left's
  };
  Slope slope(Tensor& place, double width, double loss);
  // Of the flat device tensor `values`, in its order.
  Differences differences(const Tensor& values, const Tensor& gradient);

  const Blueprint& blueprint_;
  Backend& backend_;
  std::unique_ptr<Stream> stream_;
  ParamSet params_;
  Build build_;
  std::unique_ptr<Layer> network_;
  std::unique_ptr<Loss> loss_;
  Tensor scale_, shift_, values_, gradients_;
  Tensor input_, target_, row_weight_, sample_ids_;
  Tensor sums_, host_sums_;          // of the loss, then of its metrics
  Tensor loss_sums_, metric_sums_;  // those parts of host_sums_
  std::int64_t version_ = 0;
  StepTrace* recording_ = nullptr;
};

}  // namespace lockstep
