#include "runtime/communication/mpi_communicator.h"

#include <sched.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>

#include "runtime/communication/agreement.h"
#include "runtime/communication/fast_exchange.h"
#include "runtime/communication/message_exchange.h"
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

// MPI_COMM_NULL where `color` is MPI_UNDEFINED.
MPI_Comm split(MPI_Comm parent, int color, int key) {
  MPI_Comm communicator = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split(parent, color, key, &communicator), "MPI_Comm_split");
  return communicator;
}

// The ranks that share memory with this one, or those of them that shall behave so.
MPI_Comm split_node(const Placement& placement) {
  MPI_Comm machine = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine),
            "MPI_Comm_split_type");
  if (placement.ranks_per_node == 0) return machine;
  int rank = 0;
  check_mpi(MPI_Comm_rank(machine, &rank), "MPI_Comm_rank");
  const MPI_Comm part = split(machine, rank / placement.ranks_per_node, 0);
  check_mpi(MPI_Comm_free(&machine), "MPI_Comm_free");
  return part;
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
  explicit MpiCommunicator(const Placement& placement)
      : placement_(placement),
        node_(split_node(placement)),
        job_ranks_(order_by_node()),
        world_(split(MPI_COMM_WORLD, 0, place_of(job_rank_in(MPI_COMM_WORLD)))) {
    world_.set_names(job_ranks_);
    std::vector<int> names;
    for (const std::string& rank :
         node_.all_gather(std::to_string(world_.rank()), patience_seconds_))
      names.push_back(job_rank(std::stoi(rank)));
    node_.set_names(names);
    require_same(*this, {{"run.transport", alone() ? "messages" : "auto"},
                         {"run.ranks_per_node", std::to_string(placement.ranks_per_node)}});
    node_cores_ = count_cores(node_.all_gather(own_cores(), patience_seconds_));

    const bool has_control = share_control(names);
    shared_ = all_have(has_control) && !alone();
    world_.set_control(*failure_, board());
    node_.set_control(*failure_, board());
    if (alone() || nodes() == 1) return;
    const MPI_Comm speakers =
        split(MPI_COMM_WORLD, node_.rank() == 0 ? 0 : MPI_UNDEFINED, world_.rank());
    if (speakers == MPI_COMM_NULL) return;
    speakers_.emplace(speakers);
    speakers_->set_control(*failure_, board());
    std::vector<int> speaker_names;
    for (int first = 0; const int size : node_sizes_) {
      speaker_names.push_back(job_rank(first));
      first += size;
    }
    speakers_->set_names(std::move(speaker_names));
  }

  int rank() const override { return world_.rank(); }
  int size() const override { return world_.size(); }
  int job_rank(int rank) const override { return job_ranks_[static_cast<std::size_t>(rank)]; }
  int local_rank() const override { return alone() ? 0 : node_.rank(); }
  int local_size() const override { return alone() ? 1 : node_.size(); }
  int nodes() const override { return alone() ? size() : static_cast<int>(node_sizes_.size()); }

  std::string description() const override {
    if (size() == 1) return "1 rank";
    const std::size_t count = node_sizes_.size();
    const std::string pretended = placement_.ranks_per_node > 0 ? " (as configured)" : "";
    const std::string ranks = fmt::format("{} ranks on {} node{}{}", size(), count,
                                          count == 1 ? "" : "s", alone() ? "" : pretended);
    std::string how = "one shared segment";
    if (fast_ == PlanReduction::kFast)
      how = "MPI_Allreduce a bucket (reduction = \"fast\")";
    else if (fast_ == PlanReduction::kFastBFloat16)
      how = "gradients as bfloat16, sums in float32 (reduction = \"fast\")";
    else if (alone())
      how = "messages (as configured)";
    else if (!shared_)
      how = fmt::format("messages between all ranks (no shared segment: {})", reason_);
    else if (count > 1)
      how = "one shared segment a node, messages between their first ranks";
    if (!memory_reason_.empty())
      how += fmt::format("; data and packed weights are not shared ({})", memory_reason_);
    return ranks + ", " + how;
  }

  void barrier() override { world_.all_gather("", patience_seconds_); }
  void broadcast(std::span<std::byte> data, int root) override {
    world_.broadcast(data, root, patience_seconds_);
  }
  std::vector<std::string> all_gather(const std::string& mine) override {
    return world_.all_gather(mine, patience_seconds_);
  }

  void all_reduce(std::span<float> values) override {
    world_.all_reduce(values, {"come to an all-reduce", -1, patience_seconds_});
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

  std::unique_ptr<HostExchange> make_exchange(const ExchangePlan& plan, const ShardPlan& shards,
                                              Device& device) override {
    check_same_plan(*this, plan, shards);
    const Waiter waiter = make_waiter(shards, plan.patience_seconds);
    if (plan.reduction != PlanReduction::kTree) return fast_exchange(plan, shards, device, waiter);
    if (shared_) {
      if (auto exchange = share_exchange(plan, shards, device, waiter)) return exchange;
      shared_ = false;
    }
    const PartyPlan parties(shards, std::vector<int>(static_cast<std::size_t>(size()), 1));
    ExchangeArena arena = message_arena(plan, parties, rank());
    auto memory = std::make_shared<NodeSegment>(NodeSegment::in_process(arena.bytes()));
    arena.place(memory->data());
    return std::make_unique<MessageExchange>(
        plan, parties, rank(), job_ranks_, device,
        PartyMemory{std::move(arena), std::move(memory), waiter}, &world_);
  }

  Waiter make_waiter(const ShardPlan& shards, double patience_seconds) const override {
    const int first_local = rank() - node_.rank();
    int node_workers = 0;
    for (int i = 0; i < node_.size(); ++i) node_workers += shards.workers(first_local + i);
    const bool crowded =
        node_workers > node_cores_ || shards.workers(rank()) > count_cores({own_cores()});
    return {*failure_, patience_seconds, crowded, board()};
  }

  bool announce_failure() override { return failure_->raise(); }
  bool failure_announced() const override { return failure_->raised(); }
  void show_waiting() override {
    if (board_) board_->sign();
  }

 private:
  // Each rank as if on a node of its own.
  bool alone() const { return placement_.transport == Transport::kMessages; }

  static int job_rank_in(MPI_Comm communicator) {
    int rank = 0;
    check_mpi(MPI_Comm_rank(communicator, &rank), "MPI_Comm_rank");
    return rank;
  }

  // The job's ranks, a node after another, whatever the launcher's order: shards go by rank, and a
  // node's ranks then own neighbours. Rank 0 stays the first.
  std::vector<int> order_by_node() {
    MpiLink job(duplicate_world());
    std::vector<int> order(static_cast<std::size_t>(job.size()));
    std::iota(order.begin(), order.end(), 0);
    int leader = job.rank();
    node_.broadcast(std::as_writable_bytes(std::span(&leader, 1)), 0, patience_seconds_);
    std::vector<int> leaders;
    for (const std::string& text : job.all_gather(std::to_string(leader), patience_seconds_))
      leaders.push_back(std::stoi(text));
    const auto leader_of = [&](int rank) { return leaders[static_cast<std::size_t>(rank)]; };
    std::ranges::stable_sort(order, {}, leader_of);
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (i == 0 || leader_of(order[i]) != leader_of(order[i - 1])) node_sizes_.push_back(0);
      ++node_sizes_.back();
    }
    return order;
  }

  int place_of(int job_rank) const {
    return static_cast<int>(std::ranges::find(job_ranks_, job_rank) - job_ranks_.begin());
  }

  // A collective of all ranks: whether every node has its segment. If not, reason_ says why.
  bool all_have(bool segment) {
    const std::string mine = segment ? "" : reason_;
    for (const std::string& text : world_.all_gather(mine, patience_seconds_)) {
      if (text.empty()) continue;
      if (segment) reason_ = "on another node: " + text;
      return false;
    }
    return true;
  }

  std::unique_ptr<HostExchange> fast_exchange(const ExchangePlan& plan, const ShardPlan& shards,
                                              Device& device, const Waiter& waiter) {
    fast_ = plan.reduction;
    ExchangeArena arena = fast_arena(plan, shards, rank());
    auto memory = std::make_shared<NodeSegment>(NodeSegment::in_process(arena.bytes()));
    arena.place(memory->data());
    return std::make_unique<FastExchange>(plan, shards, rank(), job_ranks_, device,
                                          PartyMemory{std::move(arena), std::move(memory), waiter},
                                          world_);
  }

  // Through one segment a node; null where a node cannot have one.
  std::unique_ptr<HostExchange> share_exchange(const ExchangePlan& plan, const ShardPlan& shards,
                                               Device& device, const Waiter& waiter) {
    const PartyPlan parties(shards, node_sizes_);
    const bool one_node = parties.parties() == 1;
    ExchangeArena arena = one_node ? shared_arena(plan, shards)
                                   : message_arena(plan, parties, parties.party_of(rank()));
    const int first = parties.first_worker(rank());
    ByteRange own = arena.nodes_of_workers(first, first + shards.workers(rank()));
    if (node_.rank() == 0) own.begin = 0;
    std::optional<NodeSegment> segment = share(arena.bytes(), own, reason_);
    if (!all_have(segment.has_value())) return nullptr;
    auto owner = std::make_shared<NodeSegment>(std::move(*segment));
    arena.place(owner->data());
    if (one_node)
      return std::make_unique<SharedExchange>(plan, shards, rank(), device, waiter,
                                              std::move(arena), std::move(owner));
    return std::make_unique<MessageExchange>(
        plan, parties, rank(), job_ranks_, device,
        PartyMemory{std::move(arena), std::move(owner), waiter}, speakers_ ? &*speakers_ : nullptr);
  }

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

  // The node's failure flag, which ends waits at once, and who waits; also where gradients travel
  // by messages.
  bool share_control(const std::vector<int>& names) {
    const std::size_t bytes = sizeof(FailureFlag) + names.size() * sizeof(WaitBoard::Sign);
    std::optional<NodeSegment> control = share(bytes, {0, node_.rank() == 0 ? bytes : 0}, reason_);
    if (!control) return false;
    control_ = std::move(*control);
    failure_ = reinterpret_cast<FailureFlag*>(control_.data());
    auto* const signs = reinterpret_cast<WaitBoard::Sign*>(control_.data() + sizeof(FailureFlag));
    board_.emplace(signs, names, node_.rank());
    return true;
  }
  const WaitBoard* board() const { return board_ ? &*board_ : nullptr; }

  Placement placement_;
  MpiLink node_;
  std::vector<int> node_sizes_;  // ranks of each node, in the order of the communicator
  std::vector<int> job_ranks_;   // by the communicator's rank
  MpiLink world_;
  std::optional<MpiLink> speakers_;  // the first ranks of all nodes
  int node_cores_ = 1;
  PlanReduction fast_ = PlanReduction::kTree;  // of the last exchange
  bool shared_ = false;
  std::string reason_, memory_reason_;
  FailureFlag own_failure_;  // where no segment holds the node's
  FailureFlag* failure_ = &own_failure_;
  NodeSegment control_;
  std::optional<WaitBoard> board_;  // in it
};

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator(const Placement& placement) {
  return std::make_unique<MpiCommunicator>(placement);
}

}  // namespace lockstep
