#include "runtime/communication/shared_exchange.h"

#include <utility>

namespace lockstep {

namespace {

// Groups of counters; those of the buckets' gradients follow.
enum Group : std::size_t { kScalars, kNorms, kDelivered, kFilled, kPublished };

}  // namespace

ExchangeArena shared_arena(const ExchangePlan& plan, const ShardPlan& shards) {
  std::vector<ShardRange> workers;
  for (int rank = 0; rank < shards.ranks(); ++rank)
    for (int worker = 0; worker < shards.workers(rank); ++worker)
      workers.push_back(shards.of_worker(rank, worker));
  const std::size_t counters = (kPublished + plan.buckets.size()) * workers.size();
  return ExchangeArena(plan, shards.shards(), std::move(workers), counters);
}

SharedExchange::SharedExchange(const ExchangePlan& plan, const ShardPlan& shards, int rank,
                               Device& device, const Waiter& waiter, ExchangeArena arena,
                               std::shared_ptr<void> keep_alive)
    : plan_(plan),
      rank_(rank),
      ranks_(shards.ranks()),
      first_worker_(shards.first_worker(rank)),
      waiter_(waiter),
      arena_(std::move(arena)),
      keep_alive_(std::move(keep_alive)),
      workers_(static_cast<std::size_t>(shards.workers(rank))) {
  for (int r = 0; r < ranks_; ++r)
    rank_of_worker_.insert(rank_of_worker_.end(), static_cast<std::size_t>(shards.workers(r)), r);

  for (int w = 0; w < shards.workers(rank); ++w) {
    worker(w).nodes.resize(plan_.buckets.size());
    for (std::size_t b = 0; b < plan_.buckets.size(); ++b) {
      const ElementRange own = slice(w, static_cast<int>(b));
      for (int g = 0; g < shards.total_workers(); ++g) {
        const int owner = rank_of_worker_[static_cast<std::size_t>(g)];
        const auto subtrees =
            canonical_subtrees(shards.of_worker(owner, g - shards.first_worker(owner)));
        for (std::size_t slot = 0; slot < subtrees.size(); ++slot) {
          float* data = arena_.node(g, static_cast<int>(slot)) + own.begin;
          worker(w).nodes[b].push_back({device.borrow(data, {own.count()}), subtrees[slot].shards});
        }
      }
    }
  }
}

ElementRange SharedExchange::slice(int worker, int bucket) const {
  return cut_blocks(plan_.buckets[static_cast<std::size_t>(bucket)], static_cast<int>(all()),
                    first_worker_ + worker);
}

std::span<StepCounter> SharedExchange::group(std::size_t index) const {
  return {arena_.counters() + index * all(), all()};
}

std::span<StepCounter> SharedExchange::published(int bucket) const {
  return group(kPublished + static_cast<std::size_t>(bucket));
}

void SharedExchange::publish_in(std::span<StepCounter> group, int index) {
  group[static_cast<std::size_t>(first_worker_ + index)].publish(worker(index).turn);
}

void SharedExchange::wait_for(std::span<StepCounter> group, int index, const char* what) {
  const Worker& self = worker(index);
  for (StepCounter& counter : group) {
    if (waiter_.wait(counter, self.turn)) continue;
    std::vector<int> late;
    for (std::size_t g = 0; g < group.size(); ++g)
      if (!group[g].reached(self.turn)) late.push_back(rank_of_worker_[g]);
    // Those that arrived just now were late by as much.
    if (late.empty())
      late.push_back(rank_of_worker_[static_cast<std::size_t>(&counter - group.data())]);
    throw late_error(std::move(late), what, self.step, waiter_.patience_seconds());
  }
}

void SharedExchange::begin(int index, std::int64_t step) {
  Worker& self = worker(index);
  if (self.turn == 0) arena_.touch_nodes(first_worker_ + index);
  finish(index);
  ++self.turn;
  self.step = step;
}

double* SharedExchange::scalars(int index, std::int64_t shard) {
  return arena_.scalars(worker(index).turn, shard);
}

void SharedExchange::publish_scalars(int index) {
  publish_in(group(kScalars), index);
}

void SharedExchange::wait_scalars(int index) {
  wait_for(group(kScalars), index, "finished the forward pass");
}

void SharedExchange::publish(int index, int bucket) {
  publish_in(published(bucket), index);
}

std::span<const TreeNode> SharedExchange::collect(int index, int bucket) {
  wait_for(published(bucket), index, "finished the gradients");
  return worker(index).nodes[static_cast<std::size_t>(bucket)];
}

float* SharedExchange::sum_target(int index, int bucket) {
  return worker(index).nodes[static_cast<std::size_t>(bucket)].front().sum.data<float>();
}

void SharedExchange::publish_norms(int index) {
  publish_in(group(kNorms), index);
}

void SharedExchange::wait_norms(int index) {
  wait_for(group(kNorms), index, "finished the norms of its gradients");
}

// Buckets are delivered in order, so the last one's delivery stands for all.
void SharedExchange::deliver(int index, int bucket) {
  if (static_cast<std::size_t>(bucket) + 1 == plan_.buckets.size())
    publish_in(group(kDelivered), index);
}

void SharedExchange::finish(int index) {
  if (plan_.buckets.empty()) return;
  wait_for(group(kDelivered), index, "delivered its weights");
}

void SharedExchange::filled() {
  const std::span<StepCounter> filled = group(kFilled).first(static_cast<std::size_t>(ranks_));
  filled[static_cast<std::size_t>(rank_)].publish(++fills_);
  for (std::size_t r = 0; r < filled.size(); ++r)
    if (!waiter_.wait(filled[r], fills_))
      throw late_error({static_cast<int>(r)}, "loaded the weights", -1, waiter_.patience_seconds());
}

}  // namespace lockstep
