// The exchange through memory that all workers see: ranks as threads, ranks of one node, or one
// rank. Nothing is copied: an owner reads its slice out of every worker's buffers.
#pragma once

#include <memory>
#include <vector>

#include "runtime/communication/exchange_arena.h"
#include "runtime/communication/worker_groups.h"

namespace lockstep {

// The layout for the workers of all ranks.
ExchangeArena shared_arena(const ExchangePlan& plan, const ShardPlan& shards);

class SharedExchange final : public Exchange {
 public:
  // `memory` holds arena.bytes() zero bytes at first; `keep_alive` owns it (and the waiter's flag).
  SharedExchange(const ExchangePlan& plan, const ShardPlan& shards, int rank, Device& device,
                 const Waiter& waiter, ExchangeArena arena, std::shared_ptr<void> keep_alive);

  float* values() override { return arena_.values(); }
  float* state(int index) override { return arena_.state(index); }
  float* node(int worker, int slot) override { return arena_.node(first_worker_ + worker, slot); }
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
  void gather_states() override { finish(0); }
  void share_state(int) override { finish(0); }
  bool fill_here() const override { return rank_ == 0; }
  void filled() override;

 private:
  struct alignas(kCacheLine) Worker {
    std::uint32_t turn = 0;                    // steps begun; what the counters count
    std::int64_t step = -1;                    // the caller's number, for messages
    std::vector<std::vector<TreeNode>> nodes;  // a bucket: restricted to the own slice
  };

  Worker& worker(int index) { return workers_[static_cast<std::size_t>(index)]; }
  void publish_in(std::size_t group, int worker);
  void wait_for(std::size_t group, int worker, const char* what);

  ExchangePlan plan_;
  int rank_, ranks_, first_worker_;
  ExchangeArena arena_;
  std::shared_ptr<void> keep_alive_;
  WorkerGroups groups_;  // of the workers of all ranks
  std::vector<Worker> workers_;
  std::uint32_t fills_ = 0;
};

}  // namespace lockstep
