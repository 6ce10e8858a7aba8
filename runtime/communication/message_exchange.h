// The exchange by messages between parties (each rank alone, or the ranks of a node); inside a
// party workers share memory. The speaker's worker 0 alone sends and receives, in its collect,
// deliver, wait_scalars and wait_norms; the others wait for it. A party first joins its workers'
// subtrees, each worker a part, so that only the canonical subtrees of its shards travel.
#pragma once

#include <memory>
#include <vector>

#include "runtime/communication/arena_exchange.h"
#include "runtime/communication/node_segment.h"
#include "runtime/communication/party_plan.h"

namespace lockstep {

struct Message {
  int peer = 0;                // a party
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
  // Sends and receives all; messages between two parties keep their order. Throws Error naming the
  // ranks that are late, or PeerFailed.
  virtual void exchange(std::span<const Message> sends, std::span<const Message> receives,
                        const MessagePurpose& purpose) = 0;
  // Sums over all parties, in an order of the library's own; the same bits on each.
  virtual void all_reduce(std::span<float> values, const MessagePurpose& purpose) = 0;
};

// One party's memory, laid out by message_arena(), and how its workers wait for each other.
struct PartyMemory {
  ExchangeArena arena;  // placed
  std::shared_ptr<NodeSegment> owner;
  Waiter waiter;
};

ExchangeArena message_arena(const ExchangePlan& plan, const PartyPlan& parties, int party);

class MessageExchange final : public ArenaExchange {
 public:
  // `link` (null but for speakers) and the waiter's flag outlive the exchange. `job_ranks`: the
  // numbers by which messages name the ranks of the plan.
  MessageExchange(const ExchangePlan& plan, const PartyPlan& parties, int rank,
                  const std::vector<int>& job_ranks, Device& device, PartyMemory memory,
                  MessageLink* link);
  ~MessageExchange() override;

  ElementRange slice(int worker, int bucket) const override;
  void wait_scalars(int worker) override;
  void publish(int worker, int bucket) override;
  std::span<const TreeNode> collect(int worker, int bucket) override;
  void wait_norms(int worker) override;
  void deliver(int worker, int bucket) override;
  void finish(int worker) override;
  void gather_states() override;
  void share_state(int index) override;
  void filled() override;

 private:
  struct Traffic {
    std::vector<Message> sends, receives;
  };
  struct Join {  // left += right, two of this party's nodes that are siblings in the tree
    float* left;
    const float* right;
  };
  struct PartyNode {  // a canonical subtree of a party
    int party;
    std::int64_t shards;
    float* data;  // whole buffer of an own node; null for what is received
  };

  bool speaks(int worker) const { return link_ != nullptr && worker == 0; }
  void join_own_workers();  // fills joins_ and party_nodes_
  void plan_bucket(int bucket, Device& device, float*& received);
  Traffic plan_frozen() const;  // from party 0 to all
  Traffic plan_scalars(std::uint32_t turn) const;
  template <typename T>
  Traffic plan_gathering(T* array, bool blocks, std::span<const ElementRange> buckets) const;
  // Between party 0, which has or gets all, and the slices' owners.
  Traffic plan_root(std::span<float* const> arrays, bool to_root) const;

  void join_part(int worker, int bucket);
  void send(const Traffic& traffic, const char* what);

  PartyPlan parties_;
  int party_;
  std::shared_ptr<NodeSegment> memory_;
  MessageLink* link_;
  std::vector<Join> joins_;
  std::vector<PartyNode> party_nodes_;        // of all parties, left to right
  std::vector<Traffic> gradients_, weights_;  // a bucket
  Traffic scalars_[2], norms_;
  std::uint32_t fills_ = 0;
};

}  // namespace lockstep
