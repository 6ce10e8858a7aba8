// LinkedTree: the fixed tree over a DeviceLink. Every bucket is cut into slices of equal length,
// whole blocks, one a rank (the last ones may reach beyond its end, or be empty). Owners receive
// their slice of every rank's subtrees: by one all-to-all where every rank has one subtree, else by
// a group of messages. They finish the tree and update; an all-gather brings the new weights.
#pragma once

#include "runtime/communication/linked_exchange.h"

namespace lockstep {

class LinkedTree final : public LinkedExchange {
 public:
  LinkedTree(Communicator& communicator, std::shared_ptr<DeviceLink> link, const ExchangePlan& plan,
             const ShardPlan& shards, Backend& backend);

  ElementRange slice(int worker, int bucket) const override;
  void publish_norms(int worker) override;
  void wait_norms(int worker) override;
  void deliver(int worker, int bucket) override;
  void share_state(int index) override;

 private:
  std::int64_t slice_elements(int bucket) const;
  ElementRange slice_of(int rank, int bucket) const;
  void start(int bucket) override;
  void bring_states() override;
  void gather(int bucket, Tensor& flat, const LinkWork& work);

  ShardPlan shards_;
  bool all_to_all_;               // every rank has one subtree
  std::vector<Tensor> received_;  // by bucket: others' slices, and whole buckets on their way
  std::unique_ptr<Exchange> norms_;
  std::int64_t own_blocks_ = 0;
};

}  // namespace lockstep
