#include "runtime/step/packed_copies.h"

#include "kernels/core/memory_use.h"

namespace lockstep {

bool PackedCopy::begin(std::uint32_t number) {
  std::uint64_t begun = state_->begun.load(std::memory_order_relaxed);
  if (static_cast<std::uint32_t>(begun >> 32) == number) return false;
  return state_->begun.compare_exchange_strong(begun, std::uint64_t{number} << 32 | rank_);
}

void PackedCopy::wait(std::uint32_t number) {
  LOCKSTEP_CHECK(waiter_ != nullptr, "a replica alone waits for version {} of a packed copy",
                 number);
  const auto packer = static_cast<std::uint32_t>(state_->begun.load(std::memory_order_relaxed));
  if (waiter_->wait(state_->packed, number, packer != rank_)) return;
  throw waiter_->late({static_cast<int>(packer)}, "packed its share of the weights", -1,
                      waiter_->patience_seconds());
}

PackedCopies::PackedCopies(Communicator& communicator, const ShardPlan& shards) {
  set_waiter(communicator, communicator.make_waiter(shards, communicator.patience_seconds()));
}

void PackedCopies::set_waiter(Communicator& communicator, const Waiter& waiter) {
  waiter_.emplace(waiter);
  rank_ = static_cast<std::uint32_t>(communicator.job_rank(communicator.rank()));
}

PackedCopy& PackedCopies::at(std::size_t index, std::int64_t elements, Backend& backend) {
  const std::lock_guard lock(mutex_);
  LOCKSTEP_CHECK(index <= copies_.size(), "packed copy {} before {}", index, copies_.size());
  if (index == copies_.size()) {
    const MemoryUse use(fmt::format("{} copies of weights", name_of(backend.activation_type())));
    PackedCopy& copy = copies_.emplace_back();
    copy.tensor_ = backend.empty({elements}, backend.activation_type());
    copy.state_ = &states_.emplace_back();
    copy.rank_ = rank_;
    copy.waiter_ = waiter_ ? &*waiter_ : nullptr;
  }
  LOCKSTEP_CHECK(copies_[index].elements() == elements,
                 "packed copy {} has {} elements in one replica and {} in another", index,
                 copies_[index].elements(), elements);
  return copies_[index];
}

void PackedCopies::share(Communicator& communicator, const ShardPlan& shards,
                         double patience_seconds, Device& device) {
  set_waiter(communicator, communicator.make_waiter(shards, patience_seconds));
  states_.clear();
  if (communicator.local_size() == 1 || !device.memory_is_host()) {
    for (PackedCopy& copy : copies_) copy.state_ = &states_.emplace_back();
    return;
  }
  // All states, then all copies, each on pages of its own.
  constexpr std::size_t kPage = 4096;
  const auto to_pages = [](std::size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; };
  std::size_t bytes = to_pages(copies_.size() * sizeof(PackedCopy::State));
  for (const PackedCopy& copy : copies_) bytes += to_pages(copy.tensor_.bytes());
  memory_ = communicator.node_memory(bytes);
  auto* state = reinterpret_cast<PackedCopy::State*>(memory_.bytes.data());
  std::byte* tensor = memory_.bytes.data() + to_pages(copies_.size() * sizeof(PackedCopy::State));
  for (PackedCopy& copy : copies_) {
    copy.state_ = state++;
    const std::size_t size = to_pages(copy.tensor_.bytes());
    copy.tensor_ = device.borrow(tensor, {copy.tensor_.elements()}, copy.tensor_.dtype());
    tensor += size;
  }
}

}  // namespace lockstep
