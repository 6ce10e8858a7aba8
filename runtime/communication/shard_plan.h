// ShardPlan: which virtual shards belong to which rank and worker, and the fixed binary tree over
// them. A worker adds up its own leaves as a binary counter does, which leaves the canonical
// subtrees of its range; what any number of workers leave joins to the same bits.
#pragma once

#include <cstdint>
#include <vector>

namespace lockstep {

struct ShardRange {
  std::int64_t begin = 0, end = 0;
  std::int64_t count() const { return end - begin; }
};

// Part `part` of `parts` of a range, which differ by at most one shard.
ShardRange part_of(ShardRange range, int parts, int part);

// An aligned subtree: leaves [begin, begin + shards), shards a power of two dividing begin.
struct Subtree {
  std::int64_t begin = 0, shards = 1;
};

// The canonical subtrees of [begin, end), left to right: what a binary counter is left with.
std::vector<Subtree> canonical_subtrees(ShardRange range);
// The most subtrees the counter holds at any time while it counts through the range.
int counter_depth(ShardRange range);

class ShardPlan {
 public:
  // workers[r] = worker threads of rank r. Throws Error when there are more ranks than shards.
  ShardPlan(std::int64_t shards, std::vector<int> workers);

  std::int64_t shards() const { return shards_; }
  int ranks() const { return static_cast<int>(workers_.size()); }
  int workers(int rank) const { return workers_[static_cast<std::size_t>(rank)]; }
  int total_workers() const;
  int first_worker(int rank) const;                  // global index of the rank's worker 0
  ShardRange of_rank(int rank) const;                // [V·r/n, V·(r+1)/n)
  ShardRange of_worker(int rank, int worker) const;  // the same cut inside the rank; may be empty

 private:
  std::int64_t shards_;
  std::vector<int> workers_;
};

// "auto": the largest power of two <= 8 that leaves at least `min_rows` rows a shard, and at least
// 2 where batch >= 2. A rule of the config alone, resolved once and stored.
std::int64_t auto_shards(std::int64_t batch, std::int64_t min_rows);

}  // namespace lockstep
