#include "runtime/communication/plan_check.h"

namespace lockstep {

namespace {

std::string describe(const ExchangePlan& plan, const ShardPlan& shards) {
  std::string text = fmt::format(
      "{} parameters and {} frozen, {} scalars, {} optimizer arrays, reduction {}, {} shards, "
      "workers",
      plan.elements, plan.frozen, plan.scalars, plan.states, static_cast<int>(plan.reduction),
      shards.shards());
  for (int rank = 0; rank < shards.ranks(); ++rank)
    text += fmt::format(" {}", shards.workers(rank));
  text += ", buckets";
  for (const ElementRange& bucket : plan.buckets)
    text += fmt::format(" [{}, {})", bucket.begin, bucket.end);
  return text;
}

}  // namespace

void check_same_plan(Communicator& communicator, const ExchangePlan& plan,
                     const ShardPlan& shards) {
  LOCKSTEP_CHECK(shards.ranks() == communicator.size(), "a plan for {} ranks among {}",
                 shards.ranks(), communicator.size());
  const std::vector<std::string> all = communicator.all_gather(describe(plan, shards));
  for (std::size_t rank = 1; rank < all.size(); ++rank)
    if (all[rank] != all[0])
      throw Error(
          "rank {} is set up for another exchange than rank 0: \"{}\" against \"{}\". Do all "
          "ranks read the same config and run the same build?",
          communicator.job_rank(static_cast<int>(rank)), all[rank], all[0]);
}

}  // namespace lockstep
