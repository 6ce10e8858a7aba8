#include "runtime/communication/shard_plan.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "kernels/core/error.h"

namespace lockstep {

namespace {

// Adds leaf `leaf` to the counter: pushes it and joins while the top two are siblings of one size.
void count_leaf(std::vector<Subtree>& counter, std::int64_t leaf) {
  counter.push_back({leaf, 1});
  while (counter.size() >= 2) {
    const Subtree right = counter.back();
    const Subtree left = counter[counter.size() - 2];
    const bool siblings = left.shards == right.shards && left.begin % (2 * left.shards) == 0;
    if (!siblings) break;
    counter.pop_back();
    counter.back().shards *= 2;
  }
}

}  // namespace

ShardRange part_of(ShardRange range, int parts, int part) {
  return {range.begin + range.count() * part / parts,
          range.begin + range.count() * (part + 1) / parts};
}

std::vector<Subtree> canonical_subtrees(ShardRange range) {
  std::vector<Subtree> counter;
  for (std::int64_t leaf = range.begin; leaf < range.end; ++leaf) count_leaf(counter, leaf);
  return counter;
}

int counter_depth(ShardRange range) {
  std::vector<Subtree> counter;
  std::size_t depth = 0;
  for (std::int64_t leaf = range.begin; leaf < range.end; ++leaf) {
    depth = std::max(depth, counter.size() + 1);
    count_leaf(counter, leaf);
  }
  return static_cast<int>(depth);
}

ShardPlan::ShardPlan(std::int64_t shards, std::vector<int> workers)
    : shards_(shards), workers_(std::move(workers)) {
  LOCKSTEP_CHECK(shards_ > 0 && std::has_single_bit(static_cast<std::uint64_t>(shards_)),
                 "{} shards are not a power of two", shards_);
  if (ranks() > shards_)
    throw Error(
        "{} ranks cannot share {} virtual shards: each rank needs at least one. Start at "
        "most {} ranks, or set run.shards to {} (a power of two that changes the result)",
        ranks(), shards_, shards_, std::bit_ceil(static_cast<std::uint64_t>(ranks())));
}

int ShardPlan::total_workers() const {
  return first_worker(ranks());
}

int ShardPlan::first_worker(int rank) const {
  return std::accumulate(workers_.begin(), workers_.begin() + rank, 0);
}

ShardRange ShardPlan::of_rank(int rank) const {
  return part_of({0, shards_}, ranks(), rank);
}

ShardRange ShardPlan::of_worker(int rank, int worker) const {
  return part_of(of_rank(rank), workers(rank), worker);
}

std::int64_t auto_shards(std::int64_t batch, std::int64_t min_rows) {
  std::int64_t shards = batch >= 2 ? 2 : 1;
  while (shards < 8 && batch / (2 * shards) >= min_rows) shards *= 2;
  return shards;
}

}  // namespace lockstep
