// LinkedExchange: the exchange of ranks that each have a device of their own, from one device's
// memory to another's over a DeviceLink. Weights, optimizer state and gradients lie on the device.
// Buckets start in their fixed order, on an urgent stream, as soon as the last gradient in them is
// final; streams wait for each other by events, and the host waits only where it must know
// something: scalars and the norms of blocks, which the host's own exchange joins. Only the last
// shard's backward hides the exchange. A rank has one worker.
//
// Forms: LinkedTree (linked_tree.h), LinkedSum and LinkedBFloat16Sum (linked_sum.h).
#pragma once

#include <memory>
#include <vector>

#include "runtime/communication/link_watch.h"

namespace lockstep {

// A collective. The communicator outlives the exchange; `link` joins the same ranks.
std::unique_ptr<Exchange> make_linked_exchange(Communicator& communicator,
                                               std::shared_ptr<DeviceLink> link,
                                               const ExchangePlan& plan, const ShardPlan& shards,
                                               Backend& backend);

// Over the link, or through the host's memory where it is null.
std::unique_ptr<Exchange> make_training_exchange(Communicator& communicator,
                                                 const std::shared_ptr<DeviceLink>& link,
                                                 const ExchangePlan& plan, const ShardPlan& shards,
                                                 Backend& backend);

class LinkedExchange : public Exchange {
 public:
  ~LinkedExchange() override;

  void attach(int worker, Stream& stream) final;
  float* values() final { return values_.data<float>(); }
  float* state(int index) final { return state_tensor(index).data<float>(); }
  float* node(int worker, int slot) final;

  void begin(int worker, std::int64_t step) final;
  double* scalars(int worker, std::int64_t shard) final { return joined_->scalars(worker, shard); }
  void publish_scalars(int worker) final { joined_->publish_scalars(worker); }
  void wait_scalars(int worker) final { joined_->wait_scalars(worker); }
  void publish(int worker, int bucket) final;
  std::span<const TreeNode> collect(int worker, int bucket) final;
  float* sum_target(int worker, int bucket) final;
  double* block_norms() final { return reinterpret_cast<double*>(block_norms_.raw()); }
  void settle(int worker) final;
  void finish(int worker) final;

  float* host_values() final { return host_values_.data<float>(); }
  float* host_state(int index) final;
  void gather_states() final;
  bool fill_here() const final { return rank_ == 0; }
  void filled() final;

 protected:
  // `spare`: elements behind the end of every array, which a form may read.
  LinkedExchange(Communicator& communicator, std::shared_ptr<DeviceLink> link,
                 const ExchangePlan& plan, const ShardPlan& shards, Backend& backend,
                 std::int64_t spare);

  // Queues what makes the bucket's nodes whole on this rank, on link_stream().
  virtual void start(int bucket) = 0;
  // Rank 0's device gets all of the states.
  virtual void bring_states() = 0;

  // What collect gives, filled by the form's constructor.
  std::vector<TreeNode>& nodes(int bucket) { return nodes_[static_cast<std::size_t>(bucket)]; }

  int buckets() const { return static_cast<int>(plan_.buckets.size()); }
  ElementRange bucket_range(int bucket) const {
    return plan_.buckets[static_cast<std::size_t>(bucket)];
  }
  Tensor& state_tensor(int index);
  // A part of an array on the device.
  Tensor part(Tensor& flat, ElementRange range);
  static DeviceMessage message(int peer, Tensor& flat, ElementRange range);

  // Calls of the link, under the watch. `calls` is not called where there is one rank.
  template <typename Calls>
  void queue(const LinkWork& work, const Calls& calls) {
    if (ranks_ == 1) return;
    watch_.begin(work);
    try {
      calls();
    } catch (const Error& error) {
      throw watch_.explain(error.what());
    }
    watch_.follow(link_stream_->record());
  }
  void after_worker() { link_stream_->wait(stream().record()); }  // what the worker has queued
  void worker_after() { stream().wait(link_stream_->record()); }
  Stream& stream() const;
  Stream& link_stream() { return *link_stream_; }
  std::int64_t step() const { return step_; }

  Communicator& communicator_;
  const std::shared_ptr<DeviceLink> link_;
  const ExchangePlan plan_;
  const int rank_, ranks_;
  Backend& backend_;
  const std::vector<Subtree> subtrees_;  // of this rank: what its gradient buffers hold in the end
  Tensor values_;
  std::vector<Tensor> states_, gradients_;  // gradients_: by slot

 private:
  Tensor block_norms_, host_values_;
  std::vector<Tensor> host_states_;
  std::unique_ptr<Exchange> joined_;  // of the scalars alone, through the host
  std::unique_ptr<Stream> link_stream_;
  Stream* stream_ = nullptr;
  std::vector<std::vector<TreeNode>> nodes_;             // by bucket
  std::vector<std::shared_ptr<Event>> final_, arrived_;  // by bucket: own gradients, all nodes
  int started_ = 0;                                      // buckets of this step
  std::int64_t step_ = -1;
  LinkWatch watch_;  // last: its thread looks at the rest
};

}  // namespace lockstep
