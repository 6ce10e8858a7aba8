// Ranks as threads of one process, for tests; one rank alone is the Self form. All of them meet in
// a Hub: a lock, a place for everyone's contribution, and a count of those who came.
#include <sched.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <mutex>

#include "runtime/communication/node_segment.h"
#include "runtime/communication/plan_check.h"
#include "runtime/communication/shared_exchange.h"

namespace lockstep {

namespace {

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

class Hub {
 public:
  explicit Hub(int ranks) : rounds_(static_cast<std::size_t>(ranks)), texts_(rounds_.size()) {}

  int ranks() const { return static_cast<int>(rounds_.size()); }
  FailureFlag& failure() { return failure_; }

  // Returns when all ranks have called it as often as this one.
  void meet(int rank, double patience_seconds) {
    std::unique_lock lock(mutex_);
    const std::uint64_t round = ++rounds_[static_cast<std::size_t>(rank)];
    const auto all_here = [&] {
      return std::all_of(rounds_.begin(), rounds_.end(),
                         [&](auto other) { return other >= round; });
    };
    const auto ended = [&] { return all_here() || failure_.raised(); };
    changed_.notify_all();
    const bool in_time =
        changed_.wait_for(lock, std::chrono::duration<double>(patience_seconds), ended);
    if (all_here()) return;
    failure_.check();
    LOCKSTEP_CHECK(!in_time, "a meeting of {} ranks ended early", ranks());
    std::vector<int> late;
    for (std::size_t other = 0; other < rounds_.size(); ++other)
      if (rounds_[other] < round) late.push_back(static_cast<int>(other));
    throw late_error(late, "come to a collective call", -1, patience_seconds);
  }

  bool fail() {
    const bool first = failure_.raise();
    const std::lock_guard lock(mutex_);  // or a rank about to sleep would miss it
    changed_.notify_all();
    return first;
  }

  std::string& text(int rank) { return texts_[static_cast<std::size_t>(rank)]; }
  std::shared_ptr<NodeSegment> segment;  // made by rank 0, between two meetings

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::uint64_t> rounds_;
  std::vector<std::string> texts_;
  FailureFlag failure_;
};

class ThreadCommunicator final : public Communicator {
 public:
  ThreadCommunicator(std::shared_ptr<Hub> hub, int rank) : hub_(std::move(hub)), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return hub_->ranks(); }
  int local_rank() const override { return rank_; }
  int local_size() const override { return size(); }
  int nodes() const override { return 1; }
  std::string description() const override {
    return size() == 1 ? "1 rank" : fmt::format("{} ranks as threads of one process", size());
  }

  void barrier() override { meet(); }

  void broadcast(std::span<std::byte> data, int root) override {
    std::string& text = hub_->text(root);
    if (rank_ == root) text.assign(reinterpret_cast<const char*>(data.data()), data.size());
    meet();
    LOCKSTEP_CHECK(text.size() == data.size(), "rank {} expects {} bytes, rank {} sends {}", rank_,
                   data.size(), root, text.size());
    if (!text.empty()) std::memcpy(data.data(), text.data(), text.size());
    meet();
  }

  std::vector<std::string> all_gather(const std::string& mine) override {
    hub_->text(rank_) = mine;
    meet();
    std::vector<std::string> all;
    for (int rank = 0; rank < size(); ++rank) all.push_back(hub_->text(rank));
    meet();
    return all;
  }

  void all_reduce(std::span<float> values) override {
    std::string& mine = hub_->text(rank_);
    mine.assign(reinterpret_cast<const char*>(values.data()), values.size_bytes());
    meet();
    std::vector<float> sum(values.size(), 0.0f), other(values.size());
    for (int rank = 0; rank < size(); ++rank) {
      const std::string& text = hub_->text(rank);
      LOCKSTEP_CHECK(text.size() == values.size_bytes(), "rank {} sums {} bytes, rank {} {}", rank_,
                     values.size_bytes(), rank, text.size());
      if (!text.empty()) std::memcpy(other.data(), text.data(), text.size());
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += other[i];
    }
    meet();
    std::copy(sum.begin(), sum.end(), values.begin());
  }

  NodeMemory node_memory(std::size_t bytes) override {
    const std::shared_ptr<NodeSegment> segment = share(bytes);
    return {{segment->data(), bytes}, rank_ == 0, segment};
  }

  std::unique_ptr<HostExchange> make_exchange(const ExchangePlan& plan, const ShardPlan& shards,
                                              Device& device) override {
    check_same_plan(*this, plan, shards);
    if (plan.reduction != PlanReduction::kTree && size() > 1)
      throw Error("ranks as threads of one process sum by the tree alone");
    ExchangeArena arena = shared_arena(plan, shards);
    std::shared_ptr<NodeSegment> segment = share(arena.bytes());
    arena.place(segment->data());
    const Waiter waiter = make_waiter(shards, plan.patience_seconds);
    // The exchange may outlive this communicator: it keeps the flag and the memory.
    auto keep_alive =
        std::make_shared<std::pair<std::shared_ptr<Hub>, std::shared_ptr<NodeSegment>>>(
            hub_, std::move(segment));
    return std::make_unique<SharedExchange>(plan, shards, rank_, device, waiter, std::move(arena),
                                            std::move(keep_alive));
  }

  Waiter make_waiter(const ShardPlan& shards, double patience_seconds) const override {
    return {hub_->failure(), patience_seconds, shards.total_workers() > usable_cores()};
  }

  bool announce_failure() override { return hub_->fail(); }
  bool failure_announced() const override { return hub_->failure().raised(); }

 private:
  void meet() { hub_->meet(rank_, patience_seconds_); }

  std::shared_ptr<NodeSegment> share(std::size_t bytes) {
    if (rank_ == 0) hub_->segment = std::make_shared<NodeSegment>(NodeSegment::in_process(bytes));
    meet();
    std::shared_ptr<NodeSegment> segment = hub_->segment;
    meet();
    return segment;
  }

  std::shared_ptr<Hub> hub_;
  int rank_;
};

}  // namespace

std::unique_ptr<Communicator> make_self_communicator() {
  return std::move(make_thread_communicators(1).front());
}

std::vector<std::unique_ptr<Communicator>> make_thread_communicators(int ranks) {
  const auto hub = std::make_shared<Hub>(ranks);
  std::vector<std::unique_ptr<Communicator>> result;
  for (int rank = 0; rank < ranks; ++rank)
    result.push_back(std::make_unique<ThreadCommunicator>(hub, rank));
  return result;
}

}  // namespace lockstep
