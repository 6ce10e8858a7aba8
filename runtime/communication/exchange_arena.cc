#include "runtime/communication/exchange_arena.h"

#include <algorithm>

namespace lockstep {

namespace {

constexpr std::size_t kPage = 4096;

std::size_t to_pages(std::size_t bytes) {
  return (bytes + kPage - 1) / kPage * kPage;
}

std::int64_t count_blocks(std::int64_t elements) {
  return (elements + kBlockElements - 1) / kBlockElements;
}

void check_plan(const ExchangePlan& plan) {
  std::vector<ElementRange> buckets = plan.buckets;
  std::sort(buckets.begin(), buckets.end(),
            [](const ElementRange& a, const ElementRange& b) { return a.begin < b.begin; });
  std::int64_t covered = 0;
  for (const ElementRange& bucket : buckets) {
    LOCKSTEP_CHECK(
        bucket.begin == covered && bucket.end > bucket.begin && bucket.begin % kBlockElements == 0,
        "bucket [{}, {}) after {} elements", bucket.begin, bucket.end, covered);
    covered = bucket.end;
  }
  LOCKSTEP_CHECK(covered == plan.elements, "buckets cover {} of {} elements", covered,
                 plan.elements);
}

}  // namespace

ElementRange cut_blocks(ElementRange bucket, int parts, int part) {
  const std::int64_t blocks = count_blocks(bucket.count());
  const auto edge = [&](int cut) {
    return std::min(bucket.end, bucket.begin + kBlockElements * (blocks * cut / parts));
  };
  return {edge(part), edge(part + 1)};
}

ElementRange blocks_of(ElementRange slice) {
  return {count_blocks(slice.begin), count_blocks(slice.end)};
}

ExchangeArena::ExchangeArena(const ExchangePlan& plan, std::int64_t shards,
                             std::vector<ShardRange> workers, std::size_t counters,
                             std::size_t received)
    : scalar_count_(plan.scalars),
      states_(plan.states),
      shards_(shards),
      flat_bytes_(to_pages(static_cast<std::size_t>(plan.elements) * sizeof(float))),
      values_bytes_(
          to_pages(static_cast<std::size_t>(plan.elements + plan.frozen) * sizeof(float))),
      node_bytes_(plan.host_nodes ? flat_bytes_ : 0) {
  check_plan(plan);
  scalars_ = to_pages(counters * sizeof(StepCounter));
  norms_ =
      scalars_ + to_pages(2 * static_cast<std::size_t>(shards_ * scalar_count_) * sizeof(double));
  values_ =
      norms_ + to_pages(static_cast<std::size_t>(count_blocks(plan.elements)) * sizeof(double));
  received_ = values_ + values_bytes_ + static_cast<std::size_t>(states_) * flat_bytes_;
  bytes_ = received_ + to_pages(received * sizeof(float));
  worker_nodes_.push_back(bytes_);
  for (const ShardRange& range : workers) {
    bytes_ += static_cast<std::size_t>(counter_depth(range)) * node_bytes_;
    worker_nodes_.push_back(bytes_);
  }
}

ByteRange ExchangeArena::nodes_of_workers(int first, int last) const {
  return {worker_nodes_[static_cast<std::size_t>(first)],
          worker_nodes_[static_cast<std::size_t>(last)]};
}

double* ExchangeArena::scalars(std::uint32_t turn, std::int64_t shard) const {
  const std::int64_t row = static_cast<std::int64_t>(turn % 2) * shards_ + shard;
  return at<double>(scalars_) + row * scalar_count_;
}

float* ExchangeArena::state(int index) const {
  LOCKSTEP_CHECK(0 <= index && index < states_, "state {} of {}", index, states_);
  return at<float>(values_ + values_bytes_ + static_cast<std::size_t>(index) * flat_bytes_);
}

float* ExchangeArena::node(int worker, int slot) const {
  const ByteRange nodes = nodes_of_workers(worker, worker + 1);
  const std::size_t offset = nodes.begin + static_cast<std::size_t>(slot) * node_bytes_;
  LOCKSTEP_CHECK(offset <= nodes.end, "worker {} has no gradient buffer {}", worker, slot);
  return at<float>(offset);
}

void ExchangeArena::touch_nodes(int worker) const {
  const ByteRange nodes = nodes_of_workers(worker, worker + 1);
  for (std::size_t offset = nodes.begin; offset < nodes.end; offset += kPage)
    *at<volatile std::byte>(offset) = std::byte{0};
}

}  // namespace lockstep
