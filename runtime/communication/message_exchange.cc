#include "runtime/communication/message_exchange.h"

#include <exception>
#include <utility>

namespace lockstep {

namespace {

// Groups of counters, one a worker of the rank; those of the buckets follow, kPerBucket each. Where
// worker 0 speaks for the rank, it raises its own counter of the group.
enum Group : std::size_t { kScalars, kAllScalars, kNorms, kAllNorms, kWeights, kBuckets };
enum BucketGroup : std::size_t { kPublished, kJoined, kReceived, kDelivered, kPerBucket };

std::size_t of_bucket(int bucket, BucketGroup group) {
  return kBuckets + static_cast<std::size_t>(bucket) * kPerBucket + group;
}

std::vector<ShardRange> own_workers(const ShardPlan& shards, int rank) {
  std::vector<ShardRange> ranges;
  for (int w = 0; w < shards.workers(rank); ++w) ranges.push_back(shards.of_worker(rank, w));
  return ranges;
}

template <typename T>
std::span<std::byte> bytes_of(T* array, ElementRange range) {
  return std::as_writable_bytes(
      std::span<T>(array + range.begin, static_cast<std::size_t>(range.count())));
}

bool are_siblings(const Subtree& left, const Subtree& right) {
  return left.shards == right.shards && left.begin % (2 * left.shards) == 0;
}

}  // namespace

MessageExchange::MessageExchange(const ExchangePlan& plan, const ShardPlan& shards, int rank,
                                 Device& device, const Waiter& waiter, MessageLink& link)
    : plan_(plan),
      shards_(shards),
      rank_(rank),
      waiter_(waiter),
      link_(link),
      arena_(plan, shards.shards(), own_workers(shards, rank),
             (kBuckets + kPerBucket * plan.buckets.size()) *
                 static_cast<std::size_t>(shards.workers(rank))),
      memory_(NodeSegment::in_process(arena_.bytes())),
      workers_(static_cast<std::size_t>(shards.workers(rank))) {
  arena_.place(memory_.data());
  join_own_workers();

  std::int64_t elements = 0;
  for (const RankNode& node : rank_nodes_)
    for (int b = 0; node.rank != rank_ && b < buckets(); ++b)
      elements += rank_slice(rank_, b).count();
  received_ = NodeSegment::in_process(static_cast<std::size_t>(elements) * sizeof(float));
  std::byte* free = received_.data();
  for (int b = 0; b < buckets(); ++b) plan_bucket(b, device, free);

  for (std::uint32_t turn = 0; turn < 2; ++turn) scalars_[turn] = plan_scalars(turn);
  norms_ = plan_gathering(arena_.block_norms(), true, plan_.buckets);
}

MessageExchange::~MessageExchange() {
  // A send that an exception interrupted cannot be taken back: its receiver may still be reading.
  if (std::uncaught_exceptions() > 0) {
    memory_.abandon();
    received_.abandon();
  }
}

ElementRange MessageExchange::rank_slice(int rank, int bucket) const {
  return cut_blocks(plan_.buckets[static_cast<std::size_t>(bucket)], shards_.ranks(), rank);
}

ElementRange MessageExchange::slice(int worker, int bucket) const {
  return cut_blocks(rank_slice(rank_, bucket), shards_.workers(rank_), worker);
}

void MessageExchange::join_own_workers() {
  struct Own {
    Subtree subtree;
    float* data;
  };
  std::vector<Own> counter;
  for (int w = 0; w < shards_.workers(rank_); ++w) {
    int slot = 0;
    for (const Subtree& subtree : canonical_subtrees(shards_.of_worker(rank_, w))) {
      counter.push_back({subtree, arena_.node(w, slot++)});
      while (counter.size() >= 2 &&
             are_siblings(counter[counter.size() - 2].subtree, counter.back().subtree)) {
        const Own right = counter.back();
        counter.pop_back();
        counter.back().subtree.shards *= 2;
        joins_.push_back({counter.back().data, right.data});
      }
    }
  }
  for (int r = 0; r < shards_.ranks(); ++r) {
    if (r == rank_)
      for (const Own& own : counter) rank_nodes_.push_back({r, own.subtree.shards, own.data});
    else
      for (const Subtree& subtree : canonical_subtrees(shards_.of_rank(r)))
        rank_nodes_.push_back({r, subtree.shards, nullptr});
  }
}

void MessageExchange::plan_bucket(int bucket, Device& device, std::byte*& received) {
  const ElementRange own = rank_slice(rank_, bucket);
  Traffic& gradients = gradients_.emplace_back();
  for (Worker& worker : workers_) worker.nodes.emplace_back();
  for (const RankNode& node : rank_nodes_) {
    float* data = nullptr;  // where the node's part of `own` begins
    if (node.rank == rank_) {
      data = node.data + own.begin;
      for (int peer = 0; peer < shards_.ranks(); ++peer)
        if (peer != rank_)
          gradients.sends.push_back({peer, bytes_of(node.data, rank_slice(peer, bucket))});
    } else {
      data = reinterpret_cast<float*>(received);
      const std::span<std::byte> bytes = bytes_of(data, {0, own.count()});
      gradients.receives.push_back({node.rank, bytes});
      received += bytes.size();
    }
    for (int w = 0; w < shards_.workers(rank_); ++w) {
      const ElementRange part = slice(w, bucket);
      worker(w).nodes.back().push_back(
          {device.borrow(data + (part.begin - own.begin), {part.count()}), node.shards});
    }
  }
  weights_.push_back(
      plan_gathering(arena_.values(), false,
                     std::span(plan_.buckets).subspan(static_cast<std::size_t>(bucket), 1)));
}

template <typename T>
MessageExchange::Traffic MessageExchange::plan_gathering(
    T* array, bool blocks, std::span<const ElementRange> buckets) const {
  Traffic traffic;
  for (const ElementRange& bucket : buckets) {
    const auto part = [&](int rank) {
      const ElementRange slice = cut_blocks(bucket, shards_.ranks(), rank);
      return bytes_of(array, blocks ? blocks_of(slice) : slice);
    };
    for (int peer = 0; peer < shards_.ranks(); ++peer) {
      if (peer == rank_) continue;
      traffic.sends.push_back({peer, part(rank_)});
      traffic.receives.push_back({peer, part(peer)});
    }
  }
  return traffic;
}

MessageExchange::Traffic MessageExchange::plan_scalars(std::uint32_t turn) const {
  const auto part = [&](int rank) {
    const ShardRange range = shards_.of_rank(rank);
    return bytes_of(arena_.scalars(turn, range.begin), {0, range.count() * plan_.scalars});
  };
  Traffic traffic;
  for (int peer = 0; peer < shards_.ranks(); ++peer) {
    if (peer == rank_) continue;
    traffic.sends.push_back({peer, part(rank_)});
    traffic.receives.push_back({peer, part(peer)});
  }
  return traffic;
}

MessageExchange::Traffic MessageExchange::plan_root(std::span<float* const> arrays,
                                                    bool to_root) const {
  Traffic traffic;
  for (float* array : arrays) {
    for (int b = 0; b < buckets(); ++b) {
      for (int owner = 1; owner < shards_.ranks(); ++owner) {
        if (rank_ != 0 && rank_ != owner) continue;
        const int peer = rank_ == 0 ? owner : 0;
        auto& list = (rank_ == 0) == to_root ? traffic.receives : traffic.sends;
        list.push_back({peer, bytes_of(array, rank_slice(owner, b))});
      }
    }
  }
  return traffic;
}

std::span<StepCounter> MessageExchange::group(std::size_t index) const {
  return {arena_.counters() + index * workers_.size(), workers_.size()};
}

void MessageExchange::publish_in(std::size_t index, int worker_index) {
  group(index)[static_cast<std::size_t>(worker_index)].publish(worker(worker_index).turn);
}

void MessageExchange::wait_for(std::size_t index, int worker_index, const char* what) {
  const Worker& self = worker(worker_index);
  for (StepCounter& counter : group(index))
    if (!waiter_.wait(counter, self.turn))
      throw late_error({rank_}, what, self.step, waiter_.patience_seconds());
}

// Worker 0 names the late ranks when its own patience ends; this wait leaves it the time to.
void MessageExchange::wait_for_lead(std::size_t index, int worker_index, const char* what) {
  const Worker& self = worker(worker_index);
  StepCounter& lead = group(index)[0];
  if (!waiter_.wait(lead, self.turn) && !waiter_.wait(lead, self.turn))
    throw late_error({rank_}, what, self.step, 2 * waiter_.patience_seconds());
}

void MessageExchange::send(const Traffic& traffic, const char* what) {
  link_.exchange(traffic.sends, traffic.receives,
                 {what, worker(0).step, waiter_.patience_seconds()});
}

void MessageExchange::begin(int index, std::int64_t step) {
  Worker& self = worker(index);
  if (self.turn == 0) arena_.touch_nodes(index);
  finish(index);
  ++self.turn;
  self.step = step;
}

double* MessageExchange::scalars(int index, std::int64_t shard) {
  return arena_.scalars(worker(index).turn, shard);
}

void MessageExchange::publish_scalars(int index) {
  publish_in(kScalars, index);
}

void MessageExchange::wait_scalars(int index) {
  const char* what = "finished the forward pass";
  if (index == 0) {
    wait_for(kScalars, 0, what);
    send(scalars_[worker(0).turn % 2], what);
    publish_in(kAllScalars, 0);
  } else {
    wait_for_lead(kAllScalars, index, what);
  }
}

void MessageExchange::publish(int index, int bucket) {
  publish_in(of_bucket(bucket, kPublished), index);
}

std::span<const TreeNode> MessageExchange::collect(int index, int bucket) {
  const char* what = "finished the gradients";
  if (index == 0 || !joins_.empty()) wait_for(of_bucket(bucket, kPublished), index, what);
  if (!joins_.empty()) {
    join_part(index, bucket);
    publish_in(of_bucket(bucket, kJoined), index);
  }
  if (index == 0) {
    if (!joins_.empty()) wait_for(of_bucket(bucket, kJoined), 0, what);
    send(gradients_[static_cast<std::size_t>(bucket)], what);
    publish_in(of_bucket(bucket, kReceived), 0);
  } else {
    wait_for_lead(of_bucket(bucket, kReceived), index, what);
  }
  return worker(index).nodes[static_cast<std::size_t>(bucket)];
}

// Each worker joins its part of the whole bucket, for all ranks' slices.
void MessageExchange::join_part(int index, int bucket) {
  const ElementRange part =
      cut_blocks(plan_.buckets[static_cast<std::size_t>(bucket)], shards_.workers(rank_), index);
  for (const Join& join : joins_)
    for (std::int64_t i = part.begin; i < part.end; ++i) join.left[i] += join.right[i];
}

float* MessageExchange::sum_target(int index, int bucket) {
  return worker(index).nodes[static_cast<std::size_t>(bucket)].front().sum.data<float>();
}

void MessageExchange::publish_norms(int index) {
  publish_in(kNorms, index);
}

void MessageExchange::wait_norms(int index) {
  const char* what = "finished the norms of its gradients";
  if (index == 0) {
    wait_for(kNorms, 0, what);
    send(norms_, what);
    publish_in(kAllNorms, 0);
  } else {
    wait_for_lead(kAllNorms, index, what);
  }
}

void MessageExchange::deliver(int index, int bucket) {
  publish_in(of_bucket(bucket, kDelivered), index);
  if (index != 0) return;
  const char* what = "delivered its weights";
  wait_for(of_bucket(bucket, kDelivered), 0, what);
  send(weights_[static_cast<std::size_t>(bucket)], what);
  if (bucket + 1 == buckets()) publish_in(kWeights, 0);
}

void MessageExchange::finish(int index) {
  if (buckets() > 0) wait_for_lead(kWeights, index, "delivered its weights");
}

void MessageExchange::gather_states() {
  std::vector<float*> states;
  for (int i = 0; i < plan_.states; ++i) states.push_back(arena_.state(i));
  send(plan_root(states, true), "sent its optimizer state");
}

// Rank 0 hands every owner its slices; the weights then go round as after any step.
void MessageExchange::filled() {
  std::vector<float*> arrays = {arena_.values()};
  for (int i = 0; i < plan_.states; ++i) arrays.push_back(arena_.state(i));
  const char* what = "loaded the weights";
  send(plan_root(arrays, false), what);
  for (const Traffic& weights : weights_) send(weights, what);
}

}  // namespace lockstep
