// ArenaExchange: what all forms of the exchange share, whose workers meet in one arena: its arrays,
// how each worker of this rank counts its steps, and how it waits.
#pragma once

#include <string>
#include <vector>

#include "runtime/communication/exchange_arena.h"
#include "runtime/communication/worker_groups.h"

namespace lockstep {

// Groups of counters that every form has; its own follow.
enum CommonGroup : std::size_t { kScalars, kNorms, kFirstOwnGroup };

class ArenaExchange : public HostExchange {
 public:
  std::span<std::byte> memory() final { return arena_.memory(); }
  std::span<const TreeNode> nodes(int index, int bucket) final {
    return worker(index).nodes[static_cast<std::size_t>(bucket)];
  }
  float* values() final { return arena_.values(); }
  float* state(int index) final { return arena_.state(index); }
  float* node(int worker, int slot) final { return arena_.node(groups_.first() + worker, slot); }
  void begin(int worker, std::int64_t step) final;
  double* scalars(int worker, std::int64_t shard) final;
  void publish_scalars(int worker) final { publish_in(kScalars, worker); }
  float* sum_target(int worker, int bucket) final;
  double* block_norms() final { return arena_.block_norms(); }
  void publish_norms(int worker) final { publish_in(kNorms, worker); }
  bool fill_here() const final { return rank_ == 0; }

 protected:
  // rank_of_worker, first and waiter: as WorkerGroups has them. `workers`: of this rank.
  ArenaExchange(const ExchangePlan& plan, int rank, ExchangeArena arena,
                std::vector<int> rank_of_worker, int first, const Waiter& waiter, int workers);

  struct alignas(kCacheLine) Worker {          // of this rank
    std::uint32_t turn = 0;                    // steps begun; what the counters count
    std::int64_t step = -1;                    // the caller's number, for messages
    std::vector<std::vector<TreeNode>> nodes;  // a bucket: restricted to the own slice
  };

  Worker& worker(int index) { return workers_[static_cast<std::size_t>(index)]; }
  int buckets() const { return static_cast<int>(plan_.buckets.size()); }
  ElementRange bucket_range(int bucket) const {
    return plan_.buckets[static_cast<std::size_t>(bucket)];
  }
  void publish_in(std::size_t group, int worker);
  void wait_for(std::size_t group, int worker, const char* what);
  void wait_for_speaker(std::size_t group, int worker, const char* what);

  const ExchangePlan plan_;
  const int rank_;
  ExchangeArena arena_;
  WorkerGroups groups_;

 private:
  std::vector<Worker> workers_;
};

}  // namespace lockstep
