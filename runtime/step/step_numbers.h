// StepNumbers: the numbers of a step beside its gradients, as one worker meets them: the sums of
// all shards' losses and weights, norms, the factor of clipping, and whether they are fit to go on.
// HostNumbers knows each of them as soon as it is asked, and throws at once; where the sums lie in
// a device's memory, it asks for them when all shards are queued. DeviceNumbers leaves them on the
// device, where they are worked out and obeyed in the stream's order: the host learns and throws in
// finish(), and a step that failed has changed nothing.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "kernels/core/step_record.h"
#include "runtime/communication/communicator.h"
#include "runtime/step/params.h"
#include "runtime/step/scalars.h"

namespace lockstep {

class StepNumbers {
 public:
  // What a worker's numbers come from.
  struct Parts {
    const ParamSet& params;
    const ShardPlan& plan;
    ShardRange own;
    Exchange& exchange;
    int worker;
    Backend& backend;
    Stream& stream;                 // of the update
    std::vector<Stream*> others{};  // on which shards run, where that is not the same
  };
  // Of the device's memory that numbers have there.
  static constexpr const char* kUse = "numbers of a step";
  // On the device, where it can and no other worker's numbers are needed; else on the host.
  static std::unique_ptr<StepNumbers> make(const Parts& parts);
  virtual ~StepNumbers() = default;

  // Of an own shard: what its loss on `stream` put into `sums` (the device's), the loss to be
  // multiplied by `scale`; zeros where sums is undefined. `explain` throws what is to be said of a
  // loss that is not finite, and may be called until finish().
  virtual void put(Stream& stream, std::int64_t shard, const Tensor& sums, double scale,
                   std::int64_t rows, std::function<void(double loss)> explain) = 0;
  virtual void publish(bool stop) = 0;  // all own shards are put
  virtual void add_up() = 0;            // waits for other workers'
  // As Backend::tree_sum, divided by the weight of all shards or by their rows.
  enum class Divisor { kWeight, kRows };
  virtual void mean(std::span<const TreeNode> nodes, Divisor divisor, Tensor& y) = 0;
  virtual Tensor norms(ElementRange slice) = 0;  // where its blocks' squared norms are written
  virtual void judge(ElementRange slice) = 0;    // those norms: is the gradient finite?
  virtual void clip(double limit) = 0;           // all slices are judged
  virtual void scale(Tensor& gradient) = 0;      // by the factor of clipping
  virtual void guard(bool /*lasts*/) {}          // updates meanwhile are those of a good step
  virtual void finish() {}                       // the step's work is queued

  // After finish.
  const ShardScalars& total() const { return total_; }
  double gradient_norm() const { return gradient_norm_; }  // where it was clipped

 protected:
  explicit StepNumbers(const Parts& parts) : parts_(parts) {}
  void check_weight() const;
  // norms: of the slice's blocks.
  void check_norms(ElementRange slice, const double* norms) const;

  Parts parts_;
  ShardScalars total_;
  double gradient_norm_ = 0;
};

}  // namespace lockstep
