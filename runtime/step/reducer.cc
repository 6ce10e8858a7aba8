#include "runtime/step/reducer.h"

#include <algorithm>

#include "kernels/core/profile.h"

namespace lockstep {

std::vector<ElementRange> make_buckets(std::int64_t elements, std::int64_t min_elements) {
  const std::int64_t size =
      std::max<std::int64_t>(1, (min_elements + kBlockElements - 1) / kBlockElements) *
      kBlockElements;
  std::vector<ElementRange> buckets;
  for (std::int64_t end = elements; end > 0;) {
    // A remainder shorter than a bucket joins the last one.
    const std::int64_t begin = end < 2 * size ? 0 : (end - size) / kBlockElements * kBlockElements;
    buckets.push_back({begin, end});
    end = begin;
  }
  return buckets;
}

Reducer::Reducer(ParamSet& params, const std::vector<ElementRange>& buckets, ShardRange shards,
                 GradientTarget& target, Backend& backend, Stream& stream)
    : params_(params),
      buckets_(buckets),
      shards_(shards),
      target_(target),
      backend_(backend),
      stream_(stream),
      reported_(params.all().size()),
      buckets_of_param_(params.all().size()),
      params_in_bucket_(buckets.size()) {
  for (const Param& param : params.all()) {
    if (!param.trains) continue;
    for (std::size_t b = 0; b < buckets.size(); ++b) {
      const bool overlap =
          param.offset < buckets[b].end && buckets[b].begin < param.offset + param.elements;
      if (!overlap) continue;
      buckets_of_param_[static_cast<std::size_t>(param.index)].push_back(static_cast<int>(b));
      ++params_in_bucket_[b];
    }
  }
}

void Reducer::begin_step() {
  counter_.clear();
  awaited_ = params_in_bucket_;
  for (std::size_t b = 0; b < buckets_.size(); ++b)  // no shards, or nothing but padding: no wait
    if (shards_.count() == 0 || awaited_[b] == 0) target_.publish(static_cast<int>(b));
}

void Reducer::begin_shard(std::int64_t shard, bool may_add) {
  const int slot = static_cast<int>(counter_.size());
  counter_.push_back({shard, 1});
  joins_ = 0;
  for (Subtree right = counter_.back();;) {
    const auto left = static_cast<std::ptrdiff_t>(counter_.size()) - 2 - joins_;
    if (left < 0) break;
    const Subtree& node = counter_[static_cast<std::size_t>(left)];
    if (node.shards != right.shards || node.begin % (2 * node.shards) != 0) break;
    right = {node.begin, 2 * node.shards};
    ++joins_;
  }
  params_.bind_gradients(backend_, target_.node(slot),
                         may_add && joins_ > 0 ? target_.node(slot - 1) : nullptr);
  last_shard_ = shard + 1 == shards_.end;
  std::fill(reported_.begin(), reported_.end(), 0);
}

void Reducer::ready(const Param& param) {
  const auto index = static_cast<std::size_t>(param.index);
  if (reported_[index]) throw Error("the gradient of '{}' was reported twice", param.name);
  reported_[index] = 1;

  // One join is done where the layer has added its gradient.
  const int joins = param.adds ? joins_ - 1 : joins_;
  if (joins > 0) {
    const ProfileScope scope(stream_.profile(), "tree");
    const int top = static_cast<int>(counter_.size()) - 1, last = param.adds ? top - 1 : top;
    nodes_.clear();
    for (int slot = top - joins_; slot <= last; ++slot)
      nodes_.push_back({backend_.borrow(target_.node(slot) + param.offset, {param.elements}),
                        counter_[static_cast<std::size_t>(slot)].shards});
    if (param.adds) nodes_.back().shards *= 2;
    Tensor sum = nodes_.front().sum;
    backend_.tree_sum(stream_, nodes_, 1.0f, sum);
  }
  if (!last_shard_) return;
  for (const int bucket : buckets_of_param_[index])
    if (--awaited_[static_cast<std::size_t>(bucket)] == 0) target_.publish(bucket);
}

void Reducer::end_shard() {
  for (const Param& param : params_.all())
    if (param.trains && !reported_[static_cast<std::size_t>(param.index)])
      throw Error("no layer reported the gradient of '{}' as ready", param.name);
  for (; joins_ > 0; --joins_) {
    counter_.pop_back();
    counter_.back().shards *= 2;
  }
}

void Reducer::zero_shard(std::int64_t shard) {
  begin_shard(shard, false);
  for (const Param& param : params_.all()) {
    if (!param.trains) continue;
    Tensor leaf = param.grad;
    backend_.fill(stream_, 0.0f, leaf);
    ready(param);
  }
  end_shard();
}

}  // namespace lockstep
