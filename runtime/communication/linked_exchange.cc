#include "runtime/communication/linked_exchange.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <utility>

#include "kernels/core/memory_use.h"
#include "runtime/communication/exchange_arena.h"
#include "runtime/communication/linked_sum.h"
#include "runtime/communication/linked_tree.h"
#include "runtime/communication/plan_check.h"
#include "runtime/communication/staged_exchange.h"

namespace lockstep {

namespace {

constexpr double kAbortSeconds = 5;

// Scalars are the host's own: it reads them in every step, and a stop flag may be among them.
ExchangePlan scalars_of(const ExchangePlan& plan) {
  ExchangePlan scalars;
  scalars.scalars = plan.scalars;
  scalars.patience_seconds = plan.patience_seconds;
  return scalars;
}

// Zero, as whoever fills arrays may expect.
Tensor pinned_zeros(Backend& backend, std::int64_t elements, DType type) {
  Tensor memory = backend.empty_pinned({elements}, type);
  std::memset(memory.raw(), 0, memory.bytes());
  return memory;
}

}  // namespace

std::unique_ptr<Exchange> make_linked_exchange(Communicator& communicator,
                                               std::shared_ptr<DeviceLink> link,
                                               const ExchangePlan& plan, const ShardPlan& shards,
                                               Backend& backend) {
  check_same_plan(communicator, plan, shards);
  if (plan.reduction == PlanReduction::kTree)
    return std::make_unique<LinkedTree>(communicator, std::move(link), plan, shards, backend);
  if (plan.reduction == PlanReduction::kFast)
    return std::make_unique<LinkedSum>(communicator, std::move(link), plan, shards, backend);
  return std::make_unique<LinkedBFloat16Sum>(communicator, std::move(link), plan, shards, backend);
}

std::unique_ptr<Exchange> make_training_exchange(Communicator& communicator,
                                                 const std::shared_ptr<DeviceLink>& link,
                                                 const ExchangePlan& plan, const ShardPlan& shards,
                                                 Backend& backend) {
  if (link != nullptr) return make_linked_exchange(communicator, link, plan, shards, backend);
  return make_training_exchange(communicator, plan, shards, backend);
}

LinkedExchange::LinkedExchange(Communicator& communicator, std::shared_ptr<DeviceLink> link,
                               const ExchangePlan& plan, const ShardPlan& shards, Backend& backend,
                               std::int64_t spare)
    : communicator_(communicator),
      link_(std::move(link)),
      plan_(plan),
      rank_(communicator.rank()),
      ranks_(communicator.size()),
      backend_(backend),
      subtrees_(canonical_subtrees(shards.of_rank(rank_))),
      // What no parameter covers stays zero.
      values_(
          for_use("weights", [&] { return backend.zeros({plan.elements + plan.frozen + spare}); })),
      block_norms_(pinned_zeros(backend, blocks_of({0, plan.elements}).count(), DType::kFloat64)),
      host_values_(pinned_zeros(backend, plan.elements + plan.frozen, DType::kFloat32)),
      joined_(communicator.make_exchange(scalars_of(plan), shards, backend)),
      link_stream_(backend.make_urgent_stream()),
      nodes_(plan.buckets.size()),
      final_(plan.buckets.size()),
      arrived_(plan.buckets.size()),
      watch_(communicator, *link_, plan.patience_seconds) {
  LOCKSTEP_CHECK(shards.workers(rank_) == 1, "{} workers of rank {} on one device",
                 shards.workers(rank_), rank_);
  for_use("gradients", [&] {
    for (int i = 0; i < counter_depth(shards.of_rank(rank_)); ++i)
      gradients_.push_back(backend.zeros({plan.elements + spare}));
  });
  for_use("optimizer state", [&] {
    for (int i = 0; i < plan.states; ++i) {
      states_.push_back(backend.zeros({plan.elements + spare}));
      host_states_.push_back(pinned_zeros(backend, plan.elements, DType::kFloat32));
    }
  });
}

LinkedExchange::~LinkedExchange() {
  // After a failure the work of the link may never end by itself, and freed memory waits for it.
  if (std::uncaught_exceptions() > 0)
    link_->abort(kAbortSeconds);
  else
    link_stream_->synchronize();
}

void LinkedExchange::attach(int worker, Stream& stream) {
  LOCKSTEP_CHECK(worker == 0, "worker {} of one", worker);
  stream_ = &stream;
}

Stream& LinkedExchange::stream() const {
  LOCKSTEP_CHECK(stream_ != nullptr, "a step of a worker that has attached no stream");
  return *stream_;
}

Tensor& LinkedExchange::state_tensor(int index) {
  LOCKSTEP_CHECK(0 <= index && index < plan_.states, "state {} of {}", index, plan_.states);
  return states_[static_cast<std::size_t>(index)];
}

float* LinkedExchange::host_state(int index) {
  LOCKSTEP_CHECK(0 <= index && index < plan_.states, "state {} of {}", index, plan_.states);
  return host_states_[static_cast<std::size_t>(index)].data<float>();
}

float* LinkedExchange::node(int, int slot) {
  LOCKSTEP_CHECK(slot < std::ssize(gradients_), "there is no gradient buffer {}", slot);
  return gradients_[static_cast<std::size_t>(slot)].data<float>();
}

Tensor LinkedExchange::part(Tensor& flat, ElementRange range) {
  return backend_.borrow(flat.data<float>() + range.begin, {range.count()});
}

DeviceMessage LinkedExchange::message(int peer, Tensor& flat, ElementRange range) {
  return {peer, flat.data<float>() + range.begin,
          static_cast<std::size_t>(range.count()) * sizeof(float)};
}

void LinkedExchange::begin(int worker, std::int64_t step) {
  joined_->begin(worker, step);
  finish(worker);
  step_ = step;
  started_ = 0;
  std::ranges::fill(final_, nullptr);
}

void LinkedExchange::publish(int, int bucket) {
  final_[static_cast<std::size_t>(bucket)] = stream().record();
  for (; started_ < buckets(); ++started_) {
    const std::shared_ptr<Event>& last = final_[static_cast<std::size_t>(started_)];
    if (last == nullptr) return;  // another's turn
    link_stream_->wait(last);
    start(started_);
    arrived_[static_cast<std::size_t>(started_)] = link_stream_->record();
  }
}

std::span<const TreeNode> LinkedExchange::collect(int, int bucket) {
  LOCKSTEP_CHECK(bucket < started_, "bucket {} is collected before all up to it are published",
                 bucket);
  stream().wait(arrived_[static_cast<std::size_t>(bucket)]);
  return nodes(bucket);
}

float* LinkedExchange::sum_target(int, int bucket) {
  return nodes(bucket).front().sum.data<float>();
}

void LinkedExchange::settle(int) {
  stream().record()->synchronize();
}

void LinkedExchange::finish(int) {
  worker_after();
}

void LinkedExchange::gather_states() {
  if (stream_ != nullptr) after_worker();
  bring_states();
  backend_.copy_async(*link_stream_, part(values_, {0, plan_.elements + plan_.frozen}),
                      host_values_);
  for (std::size_t i = 0; rank_ == 0 && i < states_.size(); ++i)
    backend_.copy_async(*link_stream_, part(states_[i], {0, plan_.elements}), host_states_[i]);
  link_stream_->synchronize();
}

// Rank 0 sends everything to everyone; own slices are what the others need of the states.
void LinkedExchange::filled() {
  if (stream_ != nullptr) after_worker();
  std::vector<std::pair<Tensor*, std::int64_t>> arrays = {
      {&values_, plan_.elements + plan_.frozen}};
  for (Tensor& state : states_) arrays.push_back({&state, plan_.elements});
  for (std::size_t i = 0; rank_ == 0 && i < arrays.size(); ++i) {
    Tensor target = part(*arrays[i].first, {0, arrays[i].second});
    backend_.copy_async(*link_stream_, i == 0 ? host_values_ : host_states_[i - 1], target);
  }
  queue({.what = "loaded the weights"}, [&] {
    for (const auto& [array, elements] : arrays) {
      if (elements == 0) continue;
      std::vector<DeviceMessage> sends, receives;
      if (rank_ != 0) receives.push_back(message(0, *array, {0, elements}));
      for (int peer = 1; rank_ == 0 && peer < ranks_; ++peer)
        sends.push_back(message(peer, *array, {0, elements}));
      link_->exchange(*link_stream_, sends, receives);
    }
  });
  link_stream_->synchronize();
}

}  // namespace lockstep
