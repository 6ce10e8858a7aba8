// PackedCopies: second copies of weights in the order that a backend's operations read, made anew
// when the weights have changed and not before. The replicas of a rank share them, and while they
// train those of all ranks of a node, for their weights are the same. Before a step's first shard
// they make all copies, each taking the next that nobody has begun; elsewhere whoever needs a copy
// first makes it, and the others wait for it.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>

#include "kernels/backend.h"
#include "runtime/communication/waiter.h"

namespace lockstep {

class PackedCopy {
 public:
  // Who is at the copy, and which version of the weights it holds: where all see it that share it.
  // Zeroed memory holds none yet, for versions count from 1.
  struct State {
    alignas(kCacheLine) std::atomic<std::uint64_t> begun{0};  // version and rank
    StepCounter packed;
  };

  // pack(tensor) fills the copy. `version` is the weights'; it grows, and never differs between
  // replicas that read the copy at the same time.
  template <typename Pack>
  const Tensor& refreshed(std::int64_t version, const Pack& pack) {
    if (!refresh_if_free(version, pack)) wait(static_cast<std::uint32_t>(version));
    return tensor_;
  }
  // False where another replica is at it.
  template <typename Pack>
  bool refresh_if_free(std::int64_t version, const Pack& pack) {
    LOCKSTEP_CHECK(version > 0, "weights of version {}", version);
    const auto number = static_cast<std::uint32_t>(version);
    if (state_->packed.reached(number)) return true;
    if (!begin(number)) return false;
    pack(tensor_);
    state_->packed.publish(number);
    return true;
  }
  std::int64_t elements() const { return tensor_.elements(); }

 private:
  friend class PackedCopies;

  bool begin(std::uint32_t number);
  void wait(std::uint32_t number);

  Tensor tensor_;
  State* state_ = nullptr;
  std::uint32_t rank_ = 0;          // by which messages name this one
  const Waiter* waiter_ = nullptr;  // null: no other replica is there
};

class PackedCopies {
 public:
  PackedCopies() = default;  // of a replica that runs alone
  // Of the replicas of a rank.
  PackedCopies(Communicator& communicator, const ShardPlan& shards);

  // The index-th copy that a network asks for while it is built: all replicas ask for the same, in
  // the same order, maybe at the same time. The address stays valid.
  PackedCopy& at(std::size_t index, std::int64_t elements, Backend& backend);
  // A collective, when all replicas are built and none runs: the copies become those of all ranks
  // of the node, as far as these can share memory; versions count from 1 again.
  void share(Communicator& communicator, const ShardPlan& shards, double patience_seconds,
             Device& device);

 private:
  void set_waiter(Communicator& communicator, const Waiter& waiter);

  std::mutex mutex_;
  std::deque<PackedCopy> copies_;
  std::deque<PackedCopy::State> states_;  // while they are the rank's own
  std::optional<Waiter> waiter_;
  std::uint32_t rank_ = 0;
  NodeMemory memory_;
};

}  // namespace lockstep
