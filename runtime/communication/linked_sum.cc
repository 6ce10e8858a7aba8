#include "runtime/communication/linked_sum.h"

namespace lockstep {

LinkedSum::LinkedSum(Communicator& communicator, std::shared_ptr<DeviceLink> link,
                     const ExchangePlan& plan, const ShardPlan& shards, Backend& backend)
    : LinkedExchange(communicator, std::move(link), plan, shards, backend, 0) {
  LOCKSTEP_CHECK(plan.reduction == PlanReduction::kFast, "reduction {} over a link",
                 static_cast<int>(plan.reduction));
  for (int b = 0; b < buckets(); ++b)
    nodes(b).push_back({part(gradients_.front(), bucket_range(b)), shards.shards()});
}

void LinkedSum::start(int bucket) {
  const ElementRange range = bucket_range(bucket);
  Tensor sum = part(gradients_.front(), range);
  for (std::size_t slot = 1; slot < subtrees_.size(); ++slot)
    backend_.add(link_stream(), sum, part(gradients_[slot], range), sum);
  queue({"sent its gradients", bucket, step()},
        [&] { link_->all_reduce(link_stream(), sum.raw(), range.count(), DType::kFloat32); });
}

}  // namespace lockstep
