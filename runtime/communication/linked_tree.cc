#include "runtime/communication/linked_tree.h"

#include <algorithm>

#include "kernels/core/memory_use.h"
#include "runtime/communication/exchange_arena.h"

namespace lockstep {

namespace {

bool one_subtree_each(const ShardPlan& shards) {
  for (int rank = 0; rank < shards.ranks(); ++rank)
    if (canonical_subtrees(shards.of_rank(rank)).size() != 1) return false;
  return shards.ranks() > 1;
}

}  // namespace

LinkedTree::LinkedTree(Communicator& communicator, std::shared_ptr<DeviceLink> link,
                       const ExchangePlan& plan, const ShardPlan& shards, Backend& backend)
    // As far as the last slices of the first bucket reach, which is at the end of the arrays.
    : LinkedExchange(communicator, std::move(link), plan, shards, backend,
                     (communicator.size() + 1) * kBlockElements),
      shards_(shards),
      all_to_all_(one_subtree_each(shards)) {
  std::int64_t most_blocks = 0;
  for (int b = 0; b < buckets(); ++b) {
    const ElementRange own = slice(0, b);
    own_blocks_ += blocks_of(own).count();
    most_blocks += slice_elements(b) / kBlockElements;
    std::size_t foreign = 0;
    for (int rank = 0; rank < ranks_; ++rank)
      if (rank != rank_) foreign += canonical_subtrees(shards.of_rank(rank)).size();
    const auto places = std::max<std::int64_t>(ranks_, static_cast<std::int64_t>(foreign));
    received_.push_back(for_use("gradients of all ranks", [&] {
      return backend.empty({ranks_ > 1 ? places * slice_elements(b) : 0});
    }));
    std::int64_t place = 0;
    for (int rank = 0; rank < ranks_; ++rank) {
      const auto subtrees = canonical_subtrees(shards.of_rank(rank));
      for (std::size_t slot = 0; slot < subtrees.size(); ++slot) {
        const bool in_place = rank == rank_ && !all_to_all_;
        nodes(b).push_back({in_place ? part(gradients_[slot], own)
                                     : part(received_.back(), {place, place + own.count()}),
                            subtrees[slot].shards});
        if (!in_place) place += slice_elements(b);
      }
    }
  }
  // The norms of a rank's blocks travel as scalars of its first shard.
  ExchangePlan norms;
  norms.scalars = static_cast<int>(most_blocks);
  norms.patience_seconds = plan.patience_seconds;
  norms_ = communicator.make_exchange(norms, shards, backend);
}

std::int64_t LinkedTree::slice_elements(int bucket) const {
  const std::int64_t blocks = (bucket_range(bucket).count() + kBlockElements - 1) / kBlockElements;
  return (blocks + ranks_ - 1) / ranks_ * kBlockElements;
}

ElementRange LinkedTree::slice_of(int rank, int bucket) const {
  const ElementRange range = bucket_range(bucket);
  const auto edge = [&](int cut) {
    return std::min(range.end, range.begin + cut * slice_elements(bucket));
  };
  return {edge(rank), edge(rank + 1)};
}

ElementRange LinkedTree::slice(int, int bucket) const {
  return slice_of(rank_, bucket);
}

// Slices that reach beyond the bucket's end carry what lies there, which nobody reads.
void LinkedTree::start(int bucket) {
  const std::size_t index = static_cast<std::size_t>(bucket);
  queue({"sent its gradients", bucket, step()}, [&] {
    if (all_to_all_) {
      link_->all_to_all(
          link_stream(), gradients_.front().data<float>() + bucket_range(bucket).begin,
          received_[index].raw(), static_cast<std::size_t>(slice_elements(bucket)) * sizeof(float));
      return;
    }
    std::vector<DeviceMessage> sends, receives;
    for (int peer = 0; peer < ranks_; ++peer) {
      const ElementRange theirs = slice_of(peer, bucket);
      if (peer == rank_ || theirs.count() == 0) continue;
      for (std::size_t slot = 0; slot < subtrees_.size(); ++slot)
        sends.push_back(message(peer, gradients_[slot], theirs));
    }
    std::int64_t place = 0;
    const std::int64_t own = slice(0, bucket).count();
    for (int peer = 0; own > 0 && peer < ranks_; ++peer) {
      if (peer == rank_) continue;
      for (std::size_t n = canonical_subtrees(shards_.of_rank(peer)).size(); n > 0; --n) {
        receives.push_back(message(peer, received_[index], {place, place + own}));
        place += slice_elements(bucket);
      }
    }
    if (!sends.empty() || !receives.empty()) link_->exchange(link_stream(), sends, receives);
  });
}

// Of one bucket of a flat array: by way of other memory where the last slice reaches into the next
// bucket.
void LinkedTree::gather(int bucket, Tensor& flat, const LinkWork& work) {
  queue(work, [&] {
    const ElementRange range = bucket_range(bucket);
    const std::int64_t length = slice_elements(bucket);
    const bool in_place = length * ranks_ == range.count();
    Tensor& staged = received_[static_cast<std::size_t>(bucket)];
    float* const begin = flat.data<float>() + range.begin;
    link_->all_gather(link_stream(), begin + rank_ * length,
                      in_place ? begin : staged.data<float>(),
                      static_cast<std::size_t>(length) * sizeof(float));
    if (in_place) return;
    Tensor target = part(flat, range);
    backend_.copy_async(link_stream(), part(staged, {0, range.count()}), target);
  });
}

void LinkedTree::deliver(int, int bucket) {
  after_worker();
  gather(bucket, values_, {"delivered its weights", bucket, step()});
}

void LinkedTree::publish_norms(int worker) {
  settle(worker);
  norms_->begin(worker, step());
  double* row = norms_->scalars(worker, shards_.of_rank(rank_).begin);
  for (int b = 0; b < buckets(); ++b) {
    const ElementRange blocks = blocks_of(slice(0, b));
    row = std::copy(block_norms() + blocks.begin, block_norms() + blocks.end, row);
  }
  norms_->publish_scalars(worker);
}

void LinkedTree::wait_norms(int worker) {
  norms_->wait_scalars(worker);
  for (int rank = 0; rank < ranks_; ++rank) {
    const double* row = norms_->scalars(worker, shards_.of_rank(rank).begin);
    for (int b = 0; b < buckets(); ++b) {
      const ElementRange blocks = blocks_of(slice_of(rank, b));
      std::copy_n(row, blocks.count(), block_norms() + blocks.begin);
      row += blocks.count();
    }
  }
}

void LinkedTree::bring_states() {
  queue({.what = "sent its optimizer state", .step = step()}, [&] {
    std::vector<DeviceMessage> sends, receives;
    for (Tensor& state : states_)
      for (int b = 0; b < buckets(); ++b)
        for (int owner = 1; owner < ranks_; ++owner) {
          const ElementRange slice = slice_of(owner, b);
          if (slice.count() == 0) continue;
          if (rank_ == owner) sends.push_back(message(0, state, slice));
          if (rank_ == 0) receives.push_back(message(owner, state, slice));
        }
    if (!sends.empty() || !receives.empty()) link_->exchange(link_stream(), sends, receives);
  });
}

void LinkedTree::share_state(int index) {
  if (ranks_ == 1) return;
  after_worker();
  for (int b = 0; b < buckets(); ++b)
    gather(b, state_tensor(index), {"sent its optimizer state", b, step()});
  link_stream().synchronize();  // any of the worker's streams may read it
}

}  // namespace lockstep
