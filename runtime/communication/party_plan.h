// PartyPlan: the ranks of a shard plan, grouped into parties that share memory: each rank alone, or
// the ranks of a node. Parties are neighbours in the plan, so that each owns one range of shards.
// The first rank of a party is its speaker: it alone sends and receives for all.
#pragma once

#include <vector>

#include "runtime/communication/shard_plan.h"

namespace lockstep {

class PartyPlan {
 public:
  // sizes[p] = ranks of party p, in the plan's order.
  PartyPlan(ShardPlan shards, const std::vector<int>& sizes);

  const ShardPlan& shards() const { return shards_; }
  int parties() const { return static_cast<int>(first_ranks_.size()) - 1; }
  int party_of(int rank) const;
  int speaker(int party) const { return first_ranks_[static_cast<std::size_t>(party)]; }
  ShardRange shards_of(int party) const;

  // Workers of a party are counted through its ranks.
  int workers(int party) const;
  int first_worker(int rank) const;  // within its party
  int rank_of_worker(int party, int worker) const;
  std::vector<ShardRange> worker_shards(int party) const;

 private:
  int end_rank(int party) const { return first_ranks_[static_cast<std::size_t>(party) + 1]; }

  ShardPlan shards_;
  std::vector<int> first_ranks_;  // of each party, then the number of ranks
};

}  // namespace lockstep
