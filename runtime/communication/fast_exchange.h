// The exchange of reduction = "fast": every rank adds up its own workers' gradients, MPI sums a
// bucket over the ranks, and every rank updates all weights. The order of additions is MPI's own:
// it changes with the number of ranks. Gradients may travel as bfloat16: then the ranks add them up
// themselves, each a part of the bucket, in float32, so that a sum is rounded twice in all.
#pragma once

#include <memory>
#include <vector>

#include "runtime/communication/message_exchange.h"

namespace lockstep {

ExchangeArena fast_arena(const ExchangePlan& plan, const ShardPlan& shards, int rank);

class FastExchange final : public ArenaExchange {
 public:
  // `link` joins all ranks and outlives the exchange, as the waiter's flag does. Arguments else as
  // MessageExchange has them.
  FastExchange(const ExchangePlan& plan, const ShardPlan& shards, int rank,
               const std::vector<int>& job_ranks, Device& device, PartyMemory memory,
               MessageLink& link);
  ~FastExchange() override;

  ElementRange slice(int worker, int bucket) const override;
  void wait_scalars(int worker) override;
  void publish(int worker, int bucket) override;
  std::span<const TreeNode> collect(int worker, int bucket) override;
  void wait_norms(int worker) override;
  void deliver(int worker, int bucket) override;
  void finish(int worker) override;
  void gather_states() override { finish(0); }
  void share_state(int) override { finish(0); }
  void filled() override;

 private:
  MessagePurpose purpose(const char* what);
  void join_part(int worker, int bucket);
  void sum_as_bfloat16(int worker, int bucket);
  void send_around(int bucket, bool gather, const char* what);

  ShardPlan shards_;
  std::shared_ptr<NodeSegment> memory_;
  MessageLink& link_;
  std::vector<float*> own_nodes_;  // of all workers; the first receives the sum
  // A bucket as it travels, two by turns: a fast worker begins the next while a slow one still
  // reads.
  std::vector<std::uint16_t> wires_[2];
  std::vector<std::uint16_t> received_;  // this rank's part as each other rank has it
};

}  // namespace lockstep
