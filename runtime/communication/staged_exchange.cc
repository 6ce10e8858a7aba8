#include "runtime/communication/staged_exchange.h"

#include <numeric>
#include <utility>

#include "kernels/core/memory_use.h"

namespace lockstep {

std::unique_ptr<Exchange> make_training_exchange(Communicator& communicator, ExchangePlan plan,
                                                 const ShardPlan& shards, Device& device) {
  if (device.memory_is_host()) return communicator.make_exchange(plan, shards, device);
  plan.host_nodes = shards.total_workers() > 1;
  auto host = communicator.make_exchange(plan, shards, device);
  return std::make_unique<StagedExchange>(std::move(host), plan, shards, communicator, device);
}

StagedExchange::StagedExchange(std::unique_ptr<HostExchange> host, const ExchangePlan& plan,
                               const ShardPlan& shards, Communicator& communicator, Device& device)
    : host_(std::move(host)),
      plan_(plan),
      communicator_(communicator),
      device_(device),
      pinned_(device.pin(host_->memory())),
      alone_(shards.total_workers() == 1),
      all_own_all_(alone_ || plan.reduction != PlanReduction::kTree),
      subtrees_(canonical_subtrees(shards.of_worker(communicator.rank(), 0))),
      values_(for_use("weights", [&] { return device.zeros({plan.elements + plan.frozen}); })),
      collected_(plan.buckets.size()),
      arriving_(plan.buckets.size()),
      leaving_(plan.buckets.size()),
      down_(device.make_stream(1)),
      up_(device.make_stream(2)) {
  const int rank = communicator.rank();
  LOCKSTEP_CHECK(shards.workers(rank) == 1, "{} workers of rank {} on one device",
                 shards.workers(rank), rank);
  // What no parameter covers stays zero.
  const int depth = counter_depth(shards.of_worker(rank, 0));
  for_use("gradients", [&] {
    for (int i = 0; i < depth; ++i) nodes_.push_back(device.zeros({plan.elements}));
  });
  for_use("optimizer state", [&] {
    for (int i = 0; i < plan.states; ++i) states_.push_back(device.zeros({plan.elements}));
  });
  for_use("gradients of all ranks", [&] { plan_nodes(); });
}

// Alone, the nodes that are added up are the worker's own; else copies of everybody's.
void StagedExchange::plan_nodes() {
  for (int b = 0; b < buckets(); ++b) {
    const ElementRange own = slice(0, b);
    if (alone_) {
      for (std::size_t slot = 0; slot < subtrees_.size(); ++slot)
        of(collected_, b)
            .push_back({nodes_[slot].slice(own.begin, own.end), subtrees_[slot].shards});
    } else {
      for (const TreeNode& node : host_->nodes(0, b))
        of(collected_, b).push_back({device_.empty({own.count()}), node.shards});
    }
  }
}

Stream& StagedExchange::stream() const {
  LOCKSTEP_CHECK(stream_ != nullptr, "a step of worker {}, which has attached no stream", 0);
  return *stream_;
}

void StagedExchange::attach(int worker, Stream& stream) {
  LOCKSTEP_CHECK(worker == 0, "worker {} of one", worker);
  stream_ = &stream;
}

float* StagedExchange::state(int index) {
  LOCKSTEP_CHECK(0 <= index && index < plan_.states, "state {} of {}", index, plan_.states);
  return of(states_, index).data<float>();
}

float* StagedExchange::node(int, int slot) {
  LOCKSTEP_CHECK(slot < std::ssize(nodes_), "there is no gradient buffer {}", slot);
  return of(nodes_, slot).data<float>();
}

// Of flat arrays.
void StagedExchange::copy(Stream& stream, const float* from, float* to, ElementRange range) {
  if (range.count() == 0) return;
  const Tensor source =
      device_.borrow(const_cast<float*>(from) + range.begin, {range.count()});  // is only read
  Tensor target = device_.borrow(to + range.begin, {range.count()});
  device_.copy_async(stream, source, target);
}

void StagedExchange::begin(int worker, std::int64_t step) {
  finish(worker);
  host_->begin(worker, step);
}

void StagedExchange::publish(int worker, int bucket) {
  if (alone_) return host_->publish(worker, bucket);
  down_->wait(stream().record());
  for (std::size_t slot = 0; slot < subtrees_.size(); ++slot)
    copy(*down_, nodes_[slot].data<float>(), host_->node(worker, static_cast<int>(slot)),
         of(plan_.buckets, bucket));
  of(arriving_, bucket) = down_->record();
  publish_what_arrived();
}

void StagedExchange::publish_what_arrived() {
  for (int b = 0; b < buckets(); ++b) {
    std::shared_ptr<Event>& event = of(arriving_, b);
    if (event == nullptr || !event->reached()) continue;
    event = nullptr;
    host_->publish(0, b);
  }
}

std::span<const TreeNode> StagedExchange::collect(int worker, int bucket) {
  if (!alone_) {
    if (of(arriving_, bucket) != nullptr) of(arriving_, bucket)->synchronize();
    publish_what_arrived();
  }
  const std::span<const TreeNode> nodes = host_->collect(worker, bucket);
  Nodes& mine = of(collected_, bucket);
  if (alone_) return mine;
  // The last step has read what it collected: its work comes before this step's gradients, which
  // have arrived.
  for (std::size_t i = 0; i < nodes.size(); ++i)
    if (mine[i].sum.elements() > 0) device_.copy_async(*up_, nodes[i].sum, mine[i].sum);
  stream().wait(up_->record());
  return mine;
}

float* StagedExchange::sum_target(int, int bucket) {
  return of(collected_, bucket).front().sum.data<float>();
}

// Of the stream as a whole: what kernels have found wrong in the batch is thrown before anybody
// gets weights of this step.
void StagedExchange::settle(int) {
  stream().synchronize();
}

void StagedExchange::publish_norms(int worker) {
  settle(worker);
  host_->publish_norms(worker);
}

// The host passes weights on one bucket late, so that the device has the next one's work to do
// meanwhile; in an order that is the same on every rank, as the exchange underneath wants it.
void StagedExchange::deliver(int worker, int bucket) {
  finished_ = false;
  if (all_own_all_) {
    host_->deliver(worker, bucket);
    return;
  }
  down_->wait(stream().record());
  copy(*down_, values(), host_->values(), slice(worker, bucket));
  of(leaving_, bucket) = down_->record();
  if (bucket > 0) deliver_arrived(bucket - 1);
}

void StagedExchange::deliver_arrived(int bucket) {
  std::shared_ptr<Event>& event = of(leaving_, bucket);
  if (event == nullptr) return;
  event->synchronize();
  event = nullptr;
  host_->deliver(0, bucket);
}

void StagedExchange::finish(int worker) {
  if (std::exchange(finished_, true)) return;
  if (!all_own_all_) deliver_arrived(buckets() - 1);
  host_->finish(worker);
  if (all_own_all_) return;
  for (int b = 0; b < buckets(); ++b) {
    const ElementRange bucket = of(plan_.buckets, b), own = slice(worker, b);
    copy(stream(), host_->values(), values(), {bucket.begin, own.begin});
    copy(stream(), host_->values(), values(), {own.end, bucket.end});
  }
}

// Of this rank, until all ranks have theirs in the host's memory.
void StagedExchange::bring_own_slices(const std::vector<int>& states, bool with_values) {
  if (stream_ != nullptr) down_->wait(stream_->record());
  for (int b = 0; b < buckets(); ++b) {
    const ElementRange own = slice(0, b);
    for (const int i : states) copy(*down_, state(i), host_->state(i), own);
    if (with_values) copy(*down_, values(), host_->values(), own);
  }
  down_->synchronize();
  communicator_.barrier();
}

void StagedExchange::gather_states() {
  std::vector<int> states(states_.size());
  std::iota(states.begin(), states.end(), 0);
  bring_own_slices(states, all_own_all_);
  host_->gather_states();
}

void StagedExchange::share_state(int index) {
  if (all_own_all_) return;
  bring_own_slices({index}, false);
  host_->share_state(index);
  copy(*up_, host_->state(index), state(index), {0, plan_.elements});
  up_->synchronize();
}

void StagedExchange::filled() {
  host_->filled();
  copy(*up_, host_->values(), values(), {0, plan_.elements + plan_.frozen});
  for (int i = 0; i < plan_.states; ++i) copy(*up_, host_->state(i), state(i), {0, plan_.elements});
  up_->synchronize();
}

}  // namespace lockstep
