// Reducer: a lane's side of the fixed tree. It gives every shard a place for its gradient, adds
// finished leaves up as a binary counter does, and publishes a bucket as soon as the lane's last
// shard has reported all parameters in it.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/communication/communicator.h"
#include "runtime/step/params.h"

namespace lockstep {

// Contiguous buckets of whole blocks, counted from the end of the buffer: backward runs from the
// last layer to the first, so the first bucket is ready first. At least `min_elements` each.
// Small enough that the first exchange starts early, large enough that few are needed: 4 MiB.
inline constexpr std::int64_t kBucketElements = std::int64_t{1} << 20;
std::vector<ElementRange> make_buckets(std::int64_t elements, std::int64_t min_elements);

// Where a reducer's gradients lie, and who hears of them.
class GradientTarget {
 public:
  virtual ~GradientTarget() = default;
  // Of counter_depth(its shards) buffers, each as long as the values that train. When the reducer
  // has counted through its shards, slot i holds canonical_subtrees(...)[i].
  virtual float* node(int slot) = 0;
  virtual void publish(int bucket) = 0;  // once a step: the subtrees of it are final
};

class Reducer {
 public:
  Reducer(ParamSet& params, const std::vector<ElementRange>& buckets, ShardRange shards,
          GradientTarget& target, Backend& backend, Stream& stream);

  ShardRange shards() const { return shards_; }
  void begin_step();
  // Binds the parameters' gradients to the shard's leaf, or, where they can be added, to the leaf
  // that this one joins.
  void begin_shard(std::int64_t shard, bool may_add = true);
  void ready(const Param& param);  // its gradient is final
  // Throws Error unless every parameter that trains was reported once.
  void end_shard();
  void zero_shard(std::int64_t shard);  // a shard without rows adds zero

 private:
  ParamSet& params_;
  const std::vector<ElementRange>& buckets_;
  ShardRange shards_;
  GradientTarget& target_;
  Backend& backend_;
  Stream& stream_;

  std::vector<Subtree> counter_;  // what lies in slots 0, 1, 2, ...
  int joins_ = 0;                 // of the shard at hand
  bool last_shard_ = false;
  std::vector<char> reported_;  // by parameter, in this shard
  std::vector<std::vector<int>> buckets_of_param_;
  std::vector<int> params_in_bucket_, awaited_;  // by bucket
  std::vector<TreeNode> nodes_;                  // scratch of ready()
};

}  // namespace lockstep
