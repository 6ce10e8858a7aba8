#include "runtime/communication/shared_exchange.h"

#include <utility>

namespace lockstep {

namespace {

// Groups of counters; those of the buckets' gradients follow.
enum Group : std::size_t { kDelivered = kFirstOwnGroup, kFilled, kPublished };

std::vector<int> rank_of_worker(const ShardPlan& shards) {
  std::vector<int> ranks;
  for (int rank = 0; rank < shards.ranks(); ++rank)
    ranks.insert(ranks.end(), static_cast<std::size_t>(shards.workers(rank)), rank);
  return ranks;
}

}  // namespace

ExchangeArena shared_arena(const ExchangePlan& plan, const ShardPlan& shards) {
  std::vector<ShardRange> workers;
  for (int rank = 0; rank < shards.ranks(); ++rank)
    for (int worker = 0; worker < shards.workers(rank); ++worker)
      workers.push_back(shards.of_worker(rank, worker));
  const std::size_t counters = (kPublished + plan.buckets.size()) * workers.size();
  return ExchangeArena(plan, shards.shards(), std::move(workers), counters);
}

SharedExchange::SharedExchange(const ExchangePlan& plan, const ShardPlan& shards, int rank,
                               Device& device, const Waiter& waiter, ExchangeArena arena,
                               std::shared_ptr<void> keep_alive)
    : ArenaExchange(plan, rank, std::move(arena), rank_of_worker(shards), shards.first_worker(rank),
                    waiter, shards.workers(rank)),
      ranks_(shards.ranks()),
      keep_alive_(std::move(keep_alive)) {
  const std::vector<int> ranks = rank_of_worker(shards);
  for (int w = 0; w < shards.workers(rank); ++w) {
    for (std::size_t b = 0; b < plan_.buckets.size(); ++b) {
      const ElementRange own = slice(w, static_cast<int>(b));
      for (int g = 0; g < shards.total_workers(); ++g) {
        const int owner = ranks[static_cast<std::size_t>(g)];
        const auto subtrees =
            canonical_subtrees(shards.of_worker(owner, g - shards.first_worker(owner)));
        for (std::size_t slot = 0; slot < subtrees.size(); ++slot) {
          float* data = arena_.node(g, static_cast<int>(slot)) + own.begin;
          worker(w).nodes[b].push_back({device.borrow(data, {own.count()}), subtrees[slot].shards});
        }
      }
    }
  }
}

ElementRange SharedExchange::slice(int worker, int bucket) const {
  return cut_blocks(plan_.buckets[static_cast<std::size_t>(bucket)], groups_.workers(),
                    groups_.first() + worker);
}

void SharedExchange::wait_scalars(int index) {
  wait_for(kScalars, index, "finished the forward pass");
}

void SharedExchange::publish(int index, int bucket) {
  publish_in(kPublished + static_cast<std::size_t>(bucket), index);
}

std::span<const TreeNode> SharedExchange::collect(int index, int bucket) {
  wait_for(kPublished + static_cast<std::size_t>(bucket), index, "finished the gradients");
  return nodes(index, bucket);
}

void SharedExchange::wait_norms(int index) {
  wait_for(kNorms, index, "finished the norms of its gradients");
}

// Buckets are delivered in order, so the last one's delivery stands for all.
void SharedExchange::deliver(int index, int bucket) {
  if (static_cast<std::size_t>(bucket) + 1 == plan_.buckets.size()) publish_in(kDelivered, index);
}

void SharedExchange::finish(int index) {
  if (plan_.buckets.empty()) return;
  wait_for(kDelivered, index, "delivered its weights");
}

void SharedExchange::filled() {
  groups_.counter(kFilled, rank_).publish(++fills_);
  for (int rank = 0; rank < ranks_; ++rank)
    if (!groups_.waiter().wait(groups_.counter(kFilled, rank), fills_, rank != rank_))
      throw late_error({rank}, "loaded the weights", -1, groups_.waiter().patience_seconds());
}

}  // namespace lockstep
