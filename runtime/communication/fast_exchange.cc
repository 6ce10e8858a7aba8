#include "runtime/communication/fast_exchange.h"

#include <algorithm>
#include <exception>

#include "kernels/core/small_floats.h"

namespace lockstep {

namespace {

// Groups of counters; those of the buckets follow, kPerBucket each.
enum Group : std::size_t { kAllScalars = kFirstOwnGroup, kDelivered, kBuckets };
enum BucketGroup : std::size_t { kPublished, kJoined, kSwapped, kSummed, kReceived, kPerBucket };

constexpr const char* kGradients = "finished the gradients";

std::size_t of_bucket(int bucket, BucketGroup group) {
  return kBuckets + static_cast<std::size_t>(bucket) * kPerBucket + group;
}

PartyPlan each_alone(const ShardPlan& shards) {
  return {shards, std::vector<int>(static_cast<std::size_t>(shards.ranks()), 1)};
}

}  // namespace

ExchangeArena fast_arena(const ExchangePlan& plan, const ShardPlan& shards, int rank) {
  const std::size_t counters = (kBuckets + kPerBucket * plan.buckets.size()) *
                               static_cast<std::size_t>(shards.workers(rank));
  return {plan, shards.shards(), each_alone(shards).worker_shards(rank), counters};
}

FastExchange::FastExchange(const ExchangePlan& plan, const ShardPlan& shards, int rank,
                           const std::vector<int>& job_ranks, Device& device, PartyMemory memory,
                           MessageLink& link)
    : ArenaExchange(plan, rank, std::move(memory.arena),
                    std::vector<int>(static_cast<std::size_t>(shards.workers(rank)),
                                     job_ranks[static_cast<std::size_t>(rank)]),
                    0, memory.waiter, shards.workers(rank)),
      shards_(shards),
      memory_(std::move(memory.owner)),
      link_(link) {
  for (int w = 0; w < groups_.workers(); ++w) {
    const auto subtrees = canonical_subtrees(shards.of_worker(rank, w));
    for (int slot = 0; slot < std::ssize(subtrees); ++slot)
      own_nodes_.push_back(arena_.node(w, slot));
  }
  std::int64_t largest = 0;
  for (int b = 0; b < buckets(); ++b) {
    largest = std::max(largest, bucket_range(b).count());
    for (int w = 0; w < groups_.workers(); ++w) {
      const ElementRange own = slice(w, b);
      worker(w).nodes[static_cast<std::size_t>(b)].push_back(
          {device.borrow(own_nodes_.front() + own.begin, {own.count()}), shards.shards()});
    }
  }
  if (plan.reduction != PlanReduction::kFastBFloat16) return;
  for (auto& wire : wires_) wire.resize(static_cast<std::size_t>(largest));
  const std::int64_t part = largest / shards.ranks() + kBlockElements;
  received_.resize(static_cast<std::size_t>(part * (shards.ranks() - 1)));
}

FastExchange::~FastExchange() {
  // A send that an exception interrupted cannot be taken back: its receiver may still be reading.
  if (std::uncaught_exceptions() > 0) memory_->abandon();
}

ElementRange FastExchange::slice(int worker, int bucket) const {
  return cut_blocks(bucket_range(bucket), groups_.workers(), worker);
}

MessagePurpose FastExchange::purpose(const char* what) {
  return {what, worker(0).step, groups_.waiter().patience_seconds()};
}

void FastExchange::wait_scalars(int index) {
  const char* what = "finished the forward pass";
  if (index != 0) return wait_for_speaker(kAllScalars, index, what);
  wait_for(kScalars, 0, what);
  std::vector<Message> sends, receives;
  const auto rows_of = [&](int rank) {
    const ShardRange range = shards_.of_rank(rank);
    return std::as_writable_bytes(
        std::span(arena_.scalars(worker(0).turn, range.begin),
                  static_cast<std::size_t>(range.count() * plan_.scalars)));
  };
  for (int peer = 0; peer < shards_.ranks(); ++peer) {
    if (peer == rank_) continue;
    sends.push_back({peer, rows_of(rank_)});
    receives.push_back({peer, rows_of(peer)});
  }
  link_.exchange(sends, receives, purpose(what));
  publish_in(kAllScalars, 0);
}

void FastExchange::publish(int index, int bucket) {
  publish_in(of_bucket(bucket, kPublished), index);
}

std::span<const TreeNode> FastExchange::collect(int index, int bucket) {
  wait_for(of_bucket(bucket, kPublished), index, kGradients);
  join_part(index, bucket);
  if (shards_.ranks() > 1 && plan_.reduction == PlanReduction::kFastBFloat16) {
    sum_as_bfloat16(index, bucket);
  } else {
    publish_in(of_bucket(bucket, kJoined), index);
    if (index == 0) {
      wait_for(of_bucket(bucket, kJoined), 0, kGradients);
      const ElementRange range = bucket_range(bucket);
      if (shards_.ranks() > 1)
        link_.all_reduce(
            {own_nodes_.front() + range.begin, static_cast<std::size_t>(range.count())},
            purpose(kGradients));
      publish_in(of_bucket(bucket, kReceived), 0);
    } else {
      wait_for_speaker(of_bucket(bucket, kReceived), index, kGradients);
    }
  }
  return nodes(index, bucket);
}

// The sum of this rank's nodes, into the first of them.
void FastExchange::join_part(int index, int bucket) {
  const ElementRange part = slice(index, bucket);
  float* const sum = own_nodes_.front();
  for (std::size_t n = 1; n < own_nodes_.size(); ++n) {
    const float* const node = own_nodes_[n];
    for (std::int64_t i = part.begin; i < part.end; ++i) sum[i] += node[i];
  }
}

// Every rank sends each other one its part of the bucket, adds up its own part in float32, in the
// order of the ranks, and sends the sum to all.
void FastExchange::sum_as_bfloat16(int index, int bucket) {
  const ElementRange whole = bucket_range(bucket), part = slice(index, bucket);
  float* const sum = own_nodes_.front();
  std::uint16_t* const wire = wires_[bucket % 2].data() - whole.begin;
  for (std::int64_t i = part.begin; i < part.end; ++i) wire[i] = to_bfloat16(sum[i]);
  publish_in(of_bucket(bucket, kJoined), index);
  if (index == 0) {
    wait_for(of_bucket(bucket, kJoined), 0, kGradients);
    send_around(bucket, false, kGradients);
    publish_in(of_bucket(bucket, kSwapped), 0);
  } else {
    wait_for_speaker(of_bucket(bucket, kSwapped), index, kGradients);
  }

  const ElementRange own = cut_blocks(whole, shards_.ranks(), rank_);
  const ElementRange mine = cut_blocks(own, groups_.workers(), index);
  for (std::int64_t i = mine.begin; i < mine.end; ++i) {
    float total = 0;
    for (int r = 0; r < shards_.ranks(); ++r) {
      const std::int64_t row = r < rank_ ? r : r - 1;
      total += r == rank_
                   ? sum[i]
                   : from_bfloat16(
                         received_[static_cast<std::size_t>(row * own.count() + i - own.begin)]);
    }
    wire[i] = to_bfloat16(total);
  }
  publish_in(of_bucket(bucket, kSummed), index);
  if (index == 0) {
    wait_for(of_bucket(bucket, kSummed), 0, kGradients);
    send_around(bucket, true, kGradients);
    publish_in(of_bucket(bucket, kReceived), 0);
  } else {
    wait_for_speaker(of_bucket(bucket, kReceived), index, kGradients);
  }
  for (std::int64_t i = part.begin; i < part.end; ++i) sum[i] = from_bfloat16(wire[i]);
}

// gather: own sums to all; else the parts to those who sum them.
void FastExchange::send_around(int bucket, bool gather, const char* what) {
  const ElementRange whole = bucket_range(bucket);
  const auto wire_of = [&](int rank) {
    const ElementRange part = cut_blocks(whole, shards_.ranks(), rank);
    return std::as_writable_bytes(std::span(wires_[bucket % 2].data() + (part.begin - whole.begin),
                                            static_cast<std::size_t>(part.count())));
  };
  const std::size_t bytes = wire_of(rank_).size();
  auto received = std::as_writable_bytes(std::span(received_));
  std::vector<Message> sends, receives;
  for (int peer = 0; peer < shards_.ranks(); ++peer) {
    if (peer == rank_) continue;
    sends.push_back({peer, wire_of(gather ? rank_ : peer)});
    receives.push_back({peer, gather ? wire_of(peer) : received.first(bytes)});
    if (!gather) received = received.subspan(bytes);
  }
  link_.exchange(sends, receives, purpose(what));
}

void FastExchange::wait_norms(int index) {
  wait_for(kNorms, index, "finished the norms of its gradients");
}

// Buckets are delivered in order, so the last one's delivery stands for all.
void FastExchange::deliver(int index, int bucket) {
  if (bucket + 1 == buckets()) publish_in(kDelivered, index);
}

void FastExchange::finish(int index) {
  if (buckets() > 0) wait_for(kDelivered, index, "delivered its weights");
}

void FastExchange::filled() {
  const auto bytes_of = [](float* array, std::int64_t elements) {
    return std::as_writable_bytes(std::span(array, static_cast<std::size_t>(elements)));
  };
  std::vector<std::span<std::byte>> arrays = {
      bytes_of(arena_.values(), plan_.elements + plan_.frozen)};
  for (int i = 0; i < plan_.states; ++i)
    arrays.push_back(bytes_of(arena_.state(i), plan_.elements));
  std::vector<Message> sends, receives;
  for (const std::span<std::byte> bytes : arrays) {
    if (rank_ != 0) receives.push_back({0, bytes});
    for (int peer = 1; rank_ == 0 && peer < shards_.ranks(); ++peer) sends.push_back({peer, bytes});
  }
  link_.exchange(sends, receives, purpose("loaded the weights"));
}

}  // namespace lockstep
