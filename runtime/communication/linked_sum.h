// reduction = "fast" over a DeviceLink: every rank adds up its own gradients, buckets are summed
// over the ranks, and every rank updates all weights. The result changes with the number of ranks,
// within rounding.
#pragma once

#include "runtime/communication/linked_exchange.h"

namespace lockstep {

// The library's own sum, in an order of its own.
class LinkedSum : public LinkedExchange {
 public:
  LinkedSum(Communicator& communicator, std::shared_ptr<DeviceLink> link, const ExchangePlan& plan,
            const ShardPlan& shards, Backend& backend);

  ElementRange slice(int, int bucket) const final { return bucket_range(bucket); }
  void publish_norms(int worker) final { settle(worker); }
  void wait_norms(int) final {}
  void deliver(int, int) final {}
  void share_state(int) final {}

 protected:
  // Queues this rank's own sum of a bucket: the place for that of all ranks.
  Tensor own_sum(int bucket);

 private:
  void start(int bucket) override;
  void bring_states() final {}
};

// Gradients travel as bfloat16; the library would add them up as such, so that ranks do it
// themselves: each receives its part of the bucket from everybody, adds in float32, in the order of
// the ranks, and sends the sum around. Numbers are rounded twice in all.
class LinkedBFloat16Sum final : public LinkedSum {
 public:
  LinkedBFloat16Sum(Communicator& communicator, std::shared_ptr<DeviceLink> link,
                    const ExchangePlan& plan, const ShardPlan& shards, Backend& backend);

 private:
  std::int64_t part_elements(int bucket) const;
  void start(int bucket) override;

  // As buckets travel, one after another, and parts of this rank from all.
  Tensor wire_, received_;  // bfloat16
  Tensor rows_;             // received_ in float32; the first row becomes the sum
};

}  // namespace lockstep
