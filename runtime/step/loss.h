// Loss: from a network's output and a shard's targets to sums and the output's gradient. All sums
// are plain ones over rows, so that the tree over shards may add them; the division by the global
// weight comes after it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/dataset/dataset.h"
#include "runtime/config/config.h"
#include "runtime/step/layer.h"
#include "runtime/step/scalars.h"

namespace lockstep {

class Loss {
 public:
  explicit Loss(const LossConfig& config) : scale_(config.scale) {}
  virtual ~Loss() = default;

  // `output` is the network's for one sample; target_columns the K of TargetKind::kValues.
  // Allocates the gradient. Throws Error when output and target do not fit this loss.
  virtual void build(Backend& backend, std::int64_t max_rows, const Shape& output,
                     TargetKind target, std::int64_t target_columns) = 0;

  // Gives the gradient of scale() · loss_sums[0] with respect to `output` (undefined where
  // `gradient` is false), which lives until the next run. sample_weight may be undefined; so may
  // metric_sums, and then no metric is computed. The host's memory or the device's, valid after the
  // stream is; elements of metric_sums that this loss has no use for stay as they are.
  Tensor run(const Pass& pass, const Tensor& output, const Tensor& target,
             const Tensor& sample_weight, bool gradient, Tensor& loss_sums, Tensor& metric_sums);
  double scale() const { return scale_; }  // loss.scale, of the loss that is shown too

  virtual std::vector<std::string> metric_names() const = 0;
  // The named metrics from sums over all rows; `rows` is their number.
  virtual std::vector<double> metrics(std::span<const double> metric_sums, double rows) const = 0;

 private:
  virtual Tensor compute(const Pass& pass, const Tensor& output, const Tensor& target,
                         const Tensor& sample_weight, bool gradient, Tensor& loss_sums,
                         Tensor& metric_sums) = 0;
  double scale_;
};

// top_k: training.top_k; cross_entropy reports that accuracy too where it is above 1.
std::unique_ptr<Loss> make_loss(const LossConfig& config, std::int64_t top_k);

// Whether the loss compares with values (mse, l1, huber), not with classes.
bool compares_values(LossKind kind);

// What the loss asks of target values.
TargetRule target_rule(LossKind kind);

// How many outputs a network needs for these data: the classes; 1 for binary_cross_entropy and
// hinge of 2 classes; the columns of kValues. `classes` counts those of kClass data. Throws Error
// where the loss cannot be had from such a target.
std::int64_t network_outputs(LossKind kind, TargetKind target, std::int64_t target_columns,
                             std::int64_t classes);

}  // namespace lockstep
