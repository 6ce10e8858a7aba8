// StepRecord: what a device knows of the training step that it is at, so that the host need not
// wait to know it: sums of losses and weights, norms of gradients, the factor of clipping, and
// whether the step may be taken. All of it is worked out by operations in a stream's order; the
// host reads the outcome when the step's work is queued.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "kernels/core/device.h"
#include "kernels/core/options.h"

namespace lockstep {

class StepRecord {
 public:
  // What a shard contributes beside its gradient: loss, weight, rows, four metrics, and one more
  // that the host alone uses.
  static constexpr int kNumbers = 8;
  static constexpr int kSums = 6;  // of an operation's: loss, weight, four metrics
  enum class Total { kLoss, kWeight, kRows };

  struct Outcome {  // on the host
    std::array<double, kNumbers> total{};
    double norm = 0, factor = 1;
    bool open = true;                // the step was taken, and so were all before it
    std::span<const double> shards;  // (shards, kNumbers); until the next read()
  };

  virtual ~StepRecord();

  // The shard's numbers from `sums` (kSums, float64, the device's), whose first is multiplied by
  // `scale`; zeros where sums is undefined.
  virtual void put(Stream&, std::int64_t shard, const Tensor& sums, double scale, double rows) = 0;
  // The totals over all shards, by a balanced tree. Closes the record where the loss is not finite
  // or there is no weight.
  virtual void add_up(Stream&) = 0;
  // As Backend::tree_sum, where the divisor is a total.
  virtual void mean(Stream&, std::span<const TreeNode> nodes, Total divisor, Tensor& y) = 0;
  // (blocks) float64: the squared norms of the whole gradient's blocks, for operations to write.
  virtual const Tensor& norms() const = 0;
  // Closes the record where a norm of the blocks [begin, end) is not finite.
  virtual void judge(Stream&, std::int64_t begin, std::int64_t end) = 0;
  // norm = √Σ norms of the first blocks, by a balanced tree; factor = min(1, limit / (norm +
  // 1e-6)), as torch.nn.utils.clip_grad_norm_.
  virtual void clip(Stream&, std::int64_t blocks, double limit) = 0;
  virtual void scale(Stream&, Tensor& gradient) = 0;  // by that factor
  // While it lasts, optimizers and running averages on that stream change nothing once the record
  // is closed. It stays closed: what a failed step has met can be looked at.
  virtual void guard(Stream&, bool lasts) = 0;

  // What all work that was queued on the stream makes of it; blocks.
  virtual const Outcome& read(Stream&) = 0;
};

// A device that keeps such records.
class StepRecordMaker {
 public:
  virtual ~StepRecordMaker();  // in the core library: one type for every plug-in
  // `blocks` of kBlockElements has the gradient.
  virtual std::unique_ptr<StepRecord> make_step_record(std::int64_t shards,
                                                       std::int64_t blocks) = 0;
};

// Null where the device keeps none: its numbers are as near to the host.
std::unique_ptr<StepRecord> make_step_record(Device& device, std::int64_t shards,
                                             std::int64_t blocks);

}  // namespace lockstep
