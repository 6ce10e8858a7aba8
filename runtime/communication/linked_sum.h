// LinkedSum: reduction = "fast" over a DeviceLink. Every rank adds up its own gradients, the
// library sums a bucket over the ranks, and every rank updates all weights. The order of additions
// is the library's own: it changes with the number of ranks.
#pragma once

#include "runtime/communication/linked_exchange.h"

namespace lockstep {

class LinkedSum final : public LinkedExchange {
 public:
  LinkedSum(Communicator& communicator, std::shared_ptr<DeviceLink> link, const ExchangePlan& plan,
            const ShardPlan& shards, Backend& backend);

  ElementRange slice(int, int bucket) const override { return bucket_range(bucket); }
  void publish_norms(int worker) override { settle(worker); }
  void wait_norms(int) override {}
  void deliver(int, int) override {}
  void share_state(int) override {}

 private:
  void start(int bucket) override;
  void bring_states() override {}
};

}  // namespace lockstep
