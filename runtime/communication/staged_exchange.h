// StagedExchange: the exchange of a device whose memory the host does not reach, by way of an
// exchange through the host's memory. Weights, optimizer state and gradients lie on the device.
// publish copies a bucket's subtrees to the host, collect brings what the owner adds up, deliver
// takes new weights to the host, finish brings those of the others. Copies run on streams of their
// own, behind and ahead of the worker's; the host waits where it must know that one has arrived.
//
// The bits are those of the exchange underneath: nothing is added up here. A rank has one worker.
#pragma once

#include <memory>
#include <vector>

#include "runtime/communication/communicator.h"

namespace lockstep {

// The exchange of a training step through the host's memory, staged where the device needs it.
std::unique_ptr<Exchange> make_training_exchange(Communicator& communicator, ExchangePlan plan,
                                                 const ShardPlan& shards, Device& device);

class StagedExchange final : public Exchange {
 public:
  // `host` is the communicator's, made from this plan. Where no rank but this one takes part, the
  // plan may say that the host has no nodes.
  StagedExchange(std::unique_ptr<HostExchange> host, const ExchangePlan& plan,
                 const ShardPlan& shards, Communicator& communicator, Device& device);

  void attach(int worker, Stream& stream) override;
  float* values() override { return values_.data<float>(); }
  float* state(int index) override;
  float* node(int worker, int slot) override;
  ElementRange slice(int worker, int bucket) const override { return host_->slice(worker, bucket); }

  void begin(int worker, std::int64_t step) override;
  double* scalars(int worker, std::int64_t shard) override { return host_->scalars(worker, shard); }
  void publish_scalars(int worker) override { host_->publish_scalars(worker); }
  void wait_scalars(int worker) override { host_->wait_scalars(worker); }
  void publish(int worker, int bucket) override;
  std::span<const TreeNode> collect(int worker, int bucket) override;
  float* sum_target(int worker, int bucket) override;
  double* block_norms() override { return host_->block_norms(); }
  void settle(int worker) override;
  void publish_norms(int worker) override;
  void wait_norms(int worker) override { host_->wait_norms(worker); }
  void deliver(int worker, int bucket) override;
  void finish(int worker) override;

  float* host_values() override { return host_->values(); }
  float* host_state(int index) override { return host_->state(index); }
  void gather_states() override;
  void share_state(int index) override;
  bool fill_here() const override { return host_->fill_here(); }
  void filled() override;

 private:
  using Nodes = std::vector<TreeNode>;

  template <typename List>
  static auto& of(List& list, int index) {
    return list[static_cast<std::size_t>(index)];
  }
  int buckets() const { return static_cast<int>(plan_.buckets.size()); }
  Stream& stream() const;  // the worker's
  void plan_nodes();
  void copy(Stream& stream, const float* from, float* to, ElementRange range);
  void publish_what_arrived();
  void deliver_arrived(int bucket);
  void bring_own_slices(const std::vector<int>& states, bool with_values);

  std::unique_ptr<HostExchange> host_;
  const ExchangePlan plan_;
  Communicator& communicator_;
  Device& device_;
  std::shared_ptr<void> pinned_;   // while it lives, the host's memory does not move
  bool alone_;                     // no other worker takes part: nothing need leave the device
  bool all_own_all_;               // every rank updates all weights: none need travel
  std::vector<Subtree> subtrees_;  // of this rank: what its nodes hold in the end
  Tensor values_;
  std::vector<Tensor> states_, nodes_;
  std::vector<Nodes> collected_;                  // by bucket, on the device
  std::vector<std::shared_ptr<Event>> arriving_;  // by bucket: gradients that the host awaits
  std::vector<std::shared_ptr<Event>> leaving_;   // by bucket: weights that the host awaits
  bool finished_ = true;  // weights that were delivered have come back from everybody
  Stream* stream_ = nullptr;
  std::unique_ptr<Stream> down_, up_;  // to the host, and from it
};

}  // namespace lockstep
