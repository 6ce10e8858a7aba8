// The exchange through memory that all workers see: ranks as threads, ranks of one node, or one
// rank. Nothing is copied: an owner reads its slice out of every worker's buffers.
#pragma once

#include <memory>
#include <vector>

#include "runtime/communication/arena_exchange.h"

namespace lockstep {

// The layout for the workers of all ranks.
ExchangeArena shared_arena(const ExchangePlan& plan, const ShardPlan& shards);

class SharedExchange final : public ArenaExchange {
 public:
  // `memory` holds arena.bytes() zero bytes at first; `keep_alive` owns it (and the waiter's flag).
  SharedExchange(const ExchangePlan& plan, const ShardPlan& shards, int rank, Device& device,
                 const Waiter& waiter, ExchangeArena arena, std::shared_ptr<void> keep_alive);

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
  int ranks_;
  std::shared_ptr<void> keep_alive_;
  std::uint32_t fills_ = 0;
};

}  // namespace lockstep
