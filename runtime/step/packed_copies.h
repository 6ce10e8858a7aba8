// PackedCopies: second copies of weights in the order that a backend's operations read, made anew
// when the weights have changed and not before. The replicas of a rank share them, for their
// weights are the same. Before a step's first shard they make all copies, each taking the next that
// nobody has begun; elsewhere whoever needs a copy first makes it, and the others wait for it.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>

#include "kernels/backend.h"

namespace lockstep {

class PackedCopy {
 public:
  explicit PackedCopy(Tensor tensor) : tensor_(std::move(tensor)) {}

  // pack(tensor) fills the copy. `version` is the weights'; it never differs between replicas that
  // read the copy at the same time.
  template <typename Pack>
  const Tensor& refreshed(std::int64_t version, const Pack& pack) {
    const std::lock_guard lock(mutex_);
    refresh(version, pack);
    return tensor_;
  }
  // Not where another replica is at it.
  template <typename Pack>
  void refresh_if_free(std::int64_t version, const Pack& pack) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (lock) refresh(version, pack);
  }
  std::int64_t elements() const { return tensor_.elements(); }

 private:
  template <typename Pack>
  void refresh(std::int64_t version, const Pack& pack) {
    if (version_ == version) return;
    pack(tensor_);
    version_ = version;
  }

  std::mutex mutex_;
  Tensor tensor_;
  std::int64_t version_ = -1;  // of the weights that were packed; none yet
};

class PackedCopies {
 public:
  // The index-th copy that a network asks for while it is built: all replicas ask for the same, in
  // the same order, maybe at the same time. The address stays valid.
  PackedCopy& at(std::size_t index, std::int64_t elements, Backend& backend) {
    const std::lock_guard lock(mutex_);
    LOCKSTEP_CHECK(index <= copies_.size(), "packed copy {} before {}", index, copies_.size());
    if (index == copies_.size()) copies_.emplace_back(backend.empty({elements}, DType::kFloat32));
    LOCKSTEP_CHECK(copies_[index].elements() == elements,
                   "packed copy {} has {} elements in one replica and {} in another", index,
                   copies_[index].elements(), elements);
    return copies_[index];
  }

 private:
  std::mutex mutex_;
  std::deque<PackedCopy> copies_;
};

}  // namespace lockstep
