// The exchange by messages between ranks; inside a rank workers share memory. Worker 0 alone sends
// and receives, in its collect, deliver, wait_scalars and wait_norms; the others wait for it.
// A rank first joins its workers' subtrees, so that only canonical_subtrees(of_rank) travel.
#pragma once

#include <memory>
#include <vector>

#include "runtime/communication/exchange_arena.h"
#include "runtime/communication/node_segment.h"
#include "runtime/communication/waiter.h"

namespace lockstep {

struct Message {
  int peer = 0;
  std::span<std::byte> bytes;  // as long on the other side; empty ones are not sent
};

struct MessagePurpose {  // for the Error when somebody is late, see late_error
  const char* what = "";
  std::int64_t step = -1;
  double patience_seconds = 0;
};

class MessageLink {
 public:
  virtual ~MessageLink() = default;
  // Sends and receives all; messages between two ranks keep their order. Throws Error naming the
  // ranks that are late, or PeerFailed.
  virtual void exchange(std::span<const Message> sends, std::span<const Message> receives,
                        const MessagePurpose& purpose) = 0;
};

class MessageExchange final : public Exchange {
 public:
  // `link` and the waiter's flag outlive the exchange. `waiter`: for waits between own workers.
  MessageExchange(const ExchangePlan& plan, const ShardPlan& shards, int rank, Device& device,
                  const Waiter& waiter, MessageLink& link);
  ~MessageExchange() override;

  float* values() override { return arena_.values(); }
  float* state(int index) override { return arena_.state(index); }
  float* node(int worker, int slot) override { return arena_.node(worker, slot); }
  ElementRange slice(int worker, int bucket) const override;
  void begin(int worker, std::int64_t step) override;
  double* scalars(int worker, std::int64_t shard) override;
  void publish_scalars(int worker) override;
  void wait_scalars(int worker) override;
  void publish(int worker, int bucket) override;
  std::span<const TreeNode> collect(int worker, int bucket) override;
  float* sum_target(int worker, int bucket) override;
  double* block_norms() override { return arena_.block_norms(); }
  void publish_norms(int worker) override;
  void wait_norms(int worker) override;
  void deliver(int worker, int bucket) override;
  void finish(int worker) override;
  void gather_states() override;
  bool fill_here() const override { return rank_ == 0; }
  void filled() override;

 private:
  struct alignas(kCacheLine) Worker {
    std::uint32_t turn = 0;
    std::int64_t step = -1;
    std::vector<std::vector<TreeNode>> nodes;  // a bucket: restricted to the own slice
  };
  struct Traffic {
    std::vector<Message> sends, receives;
  };
  struct Join {  // left += right, two of this rank's nodes that are siblings in the tree
    float* left;
    const float* right;
  };
  struct RankNode {  // a canonical subtree of a rank
    int rank;
    std::int64_t shards;
    float* data;  // whole buffer of an own node; null for what is received
  };

  Worker& worker(int index) { return workers_[static_cast<std::size_t>(index)]; }
  int buckets() const { return static_cast<int>(plan_.buckets.size()); }
  ElementRange rank_slice(int rank, int bucket) const;
  void join_own_workers();  // fills joins_ and rank_nodes_
  void plan_bucket(int bucket, Device& device, std::byte*& received);
  Traffic plan_scalars(std::uint32_t turn) const;
  template <typename T>
  Traffic plan_gathering(T* array, bool blocks, std::span<const ElementRange> buckets) const;
  // Between rank 0, which has or gets all, and the slices' owners.
  Traffic plan_root(std::span<float* const> arrays, bool to_root) const;

  std::span<StepCounter> group(std::size_t index) const;
  void publish_in(std::size_t group, int worker);
  void wait_for(std::size_t group, int worker, const char* what);
  void wait_for_lead(std::size_t group, int worker, const char* what);
  void join_part(int worker, int bucket);
  void send(const Traffic& traffic, const char* what);

  ExchangePlan plan_;
  ShardPlan shards_;
  int rank_;
  Waiter waiter_;
  MessageLink& link_;
  ExchangeArena arena_;
  NodeSegment memory_, received_;
  std::vector<Worker> workers_;
  std::vector<Join> joins_;
  std::vector<RankNode> rank_nodes_;          // of all ranks, left to right
  std::vector<Traffic> gradients_, weights_;  // a bucket
  Traffic scalars_[2], norms_;
};

}  // namespace lockstep
