#include "runtime/communication/mpi_communicator.h"

#include <sched.h>

#include <cstring>
#include <optional>
#include <set>

#include "runtime/communication/agreement.h"
#include "runtime/communication/mpi_link.h"
#include "runtime/communication/node_segment.h"
#include "runtime/communication/plan_check.h"
#include "runtime/communication/shared_exchange.h"

namespace lockstep {

namespace {

MPI_Comm duplicate_world() {
  MPI_Comm communicator = MPI_COMM_NULL;
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &communicator), "MPI_Comm_dup");
  return communicator;
}

MPI_Comm split_node(int rank) {
  MPI_Comm communicator = MPI_COMM_NULL;
  check_mpi(
      MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &communicator),
      "MPI_Comm_split_type");
  return communicator;
}

std::string own_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  return {reinterpret_cast<const char*>(&set), sizeof set};
}

int count_cores(const std::vector<std::string>& sets) {
  cpu_set_t all;
  CPU_ZERO(&all);
  for (const std::string& text : sets) {
    cpu_set_t set;
    std::memcpy(&set, text.data(), sizeof set);
    CPU_OR(&all, &all, &set);
  }
  return CPU_COUNT(&all);
}

class MpiCommunicator final : public Communicator {
 public:
  explicit MpiCommunicator(Transport transport)
      : world_(duplicate_world()), node_(split_node(world_.rank())), transport_(transport) {
    for (const std::string& rank :
         node_.all_gather(std::to_string(world_.rank()), patience_seconds_))
      node_ranks_.push_back(std::stoi(rank));
    node_.set_names(node_ranks_);
    std::set<std::string> leaders;
    for (const std::string& leader :
         world_.all_gather(std::to_string(node_ranks_.front()), patience_seconds_))
      leaders.insert(leader);
    real_nodes_ = static_cast<int>(leaders.size());
    const std::string own = transport == Transport::kMessages ? "messages" : "auto";
    require_same(*this, {{"run.transport", own}});
    node_cores_ = count_cores(node_.all_gather(own_cores(), patience_seconds_));

    const bool has_control = share_control();
    shared_ = has_control && transport == Transport::kAuto && real_nodes_ == 1;
    world_.set_failure(*failure_);
    node_.set_failure(*failure_);
  }

  int rank() const override { return world_.rank(); }
  int size() const override { return world_.size(); }
  int local_rank() const override { return alone() ? 0 : node_.rank(); }
  int local_size() const override { return alone() ? 1 : node_.size(); }
  int nodes() const override { return alone() ? size() : real_nodes_; }

  std::string description() const override {
    if (size() == 1) return "1 rank";
    const std::string ranks =
        fmt::format("{} ranks on {} node{}", size(), real_nodes_, real_nodes_ == 1 ? "" : "s");
    std::string how = "one shared segment";
    if (alone())
      how = "messages (as configured)";
    else if (real_nodes_ > 1)
      how = "messages between all ranks";
    else if (!shared_)
      how = fmt::format("messages (no shared segment: {})", reason_);
    if (!memory_reason_.empty()) how += fmt::format("; data is not shared ({})", memory_reason_);
    return ranks + ", " + how;
  }

  void barrier() override { world_.all_gather("", patience_seconds_); }
  void broadcast(std::span<std::byte> data, int root) override {
    world_.broadcast(data, root, patience_seconds_);
  }
  std::vector<std::string> all_gather(const std::string& mine) override {
    return world_.all_gather(mine, patience_seconds_);
  }

  NodeMemory node_memory(std::size_t bytes) override {
    std::optional<NodeSegment> segment;
    if (local_size() > 1) {
      const std::size_t reserved = node_.rank() == 0 ? bytes : 0;
      segment = share(bytes, {0, reserved}, memory_reason_);
    }
    const bool shared = segment.has_value();
    auto owner = std::make_shared<NodeSegment>(shared ? std::move(*segment)
                                                      : NodeSegment::in_process(bytes));
    return {{owner->data(), bytes}, !shared || node_.rank() == 0, owner};
  }

  std::unique_ptr<Exchange> make_exchange(const ExchangePlan& plan, const ShardPlan& shards,
                                          Device& device) override {
    check_same_plan(*this, plan, shards);
    int node_workers = 0;
    for (int rank : node_ranks_) node_workers += shards.workers(rank);
    const bool crowded =
        node_workers > node_cores_ || shards.workers(rank()) > count_cores({own_cores()});
    const Waiter waiter(*failure_, plan.patience_seconds, crowded);
    if (shared_) {
      ExchangeArena arena = shared_arena(plan, shards);
      const int first = shards.first_worker(rank());
      ByteRange own = arena.nodes_of_workers(first, first + shards.workers(rank()));
      if (rank() == 0) own.begin = 0;
      if (std::optional<NodeSegment> segment = share(arena.bytes(), own, reason_)) {
        auto owner = std::make_shared<NodeSegment>(std::move(*segment));
        arena.place(owner->data());
        return std::make_unique<SharedExchange>(plan, shards, rank(), device, waiter,
                                                std::move(arena), std::move(owner));
      }
      shared_ = false;
    }
    return std::make_unique<MessageExchange>(plan, shards, rank(), device, waiter, world_);
  }

  bool announce_failure() override { return failure_->raise(); }

 private:
  // Each rank as if on a node of its own.
  bool alone() const { return transport_ == Transport::kMessages; }

  // A collective of the node: memory that all of its ranks have mapped and whose pages are there
  // (this rank takes `own`), or nothing on any of them, and why. A rank alone gets private memory.
  std::optional<NodeSegment> share(std::size_t bytes, ByteRange own, std::string& reason) {
    if (node_.size() == 1) return NodeSegment::in_process(bytes);
    NodeSegment segment;
    std::string failure;
    const auto attempt = [&](auto&& work) {
      try {
        work();
      } catch (const Error& error) {
        failure = error.what();
      }
    };
    if (node_.rank() == 0) attempt([&] { segment = NodeSegment::create(bytes); });
    const std::string address = node_.all_gather(segment.address(), patience_seconds_).front();
    if (node_.rank() != 0 && !address.empty())
      attempt([&] { segment = NodeSegment::open(address); });
    if (segment) attempt([&] { segment.reserve(own.begin, own.end - own.begin); });
    for (const std::string& text : node_.all_gather(failure, patience_seconds_)) {
      if (text.empty()) continue;
      reason = text;
      return std::nullopt;
    }
    segment.close_file();
    return segment;
  }

  // The node's failure flag, also where gradients travel by messages: it ends waits at once.
  bool share_control() {
    const std::size_t own = node_.rank() == 0 ? sizeof(FailureFlag) : 0;
    std::optional<NodeSegment> control = share(sizeof(FailureFlag), {0, own}, reason_);
    if (!control) return false;
    control_ = std::move(*control);
    failure_ = reinterpret_cast<FailureFlag*>(control_.data());
    return true;
  }

  MpiLink world_, node_;
  Transport transport_;
  std::vector<int> node_ranks_;
  int real_nodes_ = 1, node_cores_ = 1;
  bool shared_ = false;
  std::string reason_, memory_reason_;
  FailureFlag own_failure_;  // where no segment holds the node's
  FailureFlag* failure_ = &own_failure_;
  NodeSegment control_;
};

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator(Transport transport) {
  return std::make_unique<MpiCommunicator>(transport);
}

}  // namespace lockstep
