#include "runtime/communication/party_plan.h"

#include <algorithm>

#include "kernels/core/error.h"

namespace lockstep {

PartyPlan::PartyPlan(ShardPlan shards, const std::vector<int>& sizes)
    : shards_(std::move(shards)), first_ranks_{0} {
  for (const int size : sizes) first_ranks_.push_back(first_ranks_.back() + size);
  LOCKSTEP_CHECK(first_ranks_.back() == shards_.ranks(), "parties of {} ranks among {}",
                 first_ranks_.back(), shards_.ranks());
}

int PartyPlan::party_of(int rank) const {
  const auto after = std::upper_bound(first_ranks_.begin(), first_ranks_.end(), rank);
  return static_cast<int>(after - first_ranks_.begin()) - 1;
}

ShardRange PartyPlan::shards_of(int party) const {
  return {shards_.of_rank(speaker(party)).begin, shards_.of_rank(end_rank(party) - 1).end};
}

int PartyPlan::workers(int party) const {
  int count = 0;
  for (int rank = speaker(party); rank < end_rank(party); ++rank) count += shards_.workers(rank);
  return count;
}

int PartyPlan::first_worker(int rank) const {
  return shards_.first_worker(rank) - shards_.first_worker(speaker(party_of(rank)));
}

int PartyPlan::rank_of_worker(int party, int worker) const {
  int rank = speaker(party);
  for (; worker >= shards_.workers(rank); ++rank) worker -= shards_.workers(rank);
  return rank;
}

std::vector<ShardRange> PartyPlan::worker_shards(int party) const {
  std::vector<ShardRange> ranges;
  for (int rank = speaker(party); rank < end_rank(party); ++rank)
    for (int worker = 0; worker < shards_.workers(rank); ++worker)
      ranges.push_back(shards_.of_worker(rank, worker));
  return ranges;
}

}  // namespace lockstep
