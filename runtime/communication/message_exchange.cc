#include "runtime/communication/message_exchange.h"

#include <exception>
#include <utility>

namespace lockstep {

namespace {

// Groups of counters, one a worker of the party; those of the buckets follow, kPerBucket each.
// Where the speaker's worker 0 speaks for all, it raises its own counter of the group.
enum Group : std::size_t { kAllScalars = kFirstOwnGroup, kAllNorms, kWeights, kFilled, kBuckets };
enum BucketGroup : std::size_t { kPublished, kJoined, kReceived, kDelivered, kPerBucket };

// A speaker waits this much longer for another party than that party's workers for each other, so
// that the message about a late one comes from those who know which it is.
constexpr double kPatienceBetweenParties = 1.25;

std::size_t of_bucket(int bucket, BucketGroup group) {
  return kBuckets + static_cast<std::size_t>(bucket) * kPerBucket + group;
}

ElementRange party_slice(const ExchangePlan& plan, const PartyPlan& parties, int party,
                         int bucket) {
  return cut_blocks(plan.buckets[static_cast<std::size_t>(bucket)], parties.parties(), party);
}

template <typename T>
std::span<std::byte> bytes_of(T* array, ElementRange range) {
  return std::as_writable_bytes(
      std::span<T>(array + range.begin, static_cast<std::size_t>(range.count())));
}

std::vector<int> worker_names(const PartyPlan& parties, int party,
                              const std::vector<int>& job_ranks) {
  std::vector<int> names;
  for (int worker = 0; worker < parties.workers(party); ++worker)
    names.push_back(job_ranks[static_cast<std::size_t>(parties.rank_of_worker(party, worker))]);
  return names;
}

bool are_siblings(const Subtree& left, const Subtree& right) {
  return left.shards == right.shards && left.begin % (2 * left.shards) == 0;
}

}  // namespace

ExchangeArena message_arena(const ExchangePlan& plan, const PartyPlan& parties, int party) {
  std::size_t foreign_nodes = 0;
  for (int p = 0; p < parties.parties(); ++p)
    if (p != party) foreign_nodes += canonical_subtrees(parties.shards_of(p)).size();
  std::int64_t elements = 0;
  for (int b = 0; b < static_cast<int>(plan.buckets.size()); ++b)
    elements += party_slice(plan, parties, party, b).count();
  const std::size_t counters = (kBuckets + kPerBucket * plan.buckets.size()) *
                               static_cast<std::size_t>(parties.workers(party));
  return ExchangeArena(plan, parties.shards().shards(), parties.worker_shards(party), counters,
                       foreign_nodes * static_cast<std::size_t>(elements));
}

MessageExchange::MessageExchange(const ExchangePlan& plan, const PartyPlan& parties, int rank,
                                 const std::vector<int>& job_ranks, Device& device,
                                 PartyMemory memory, MessageLink* link)
    : ArenaExchange(plan, rank, std::move(memory.arena),
                    worker_names(parties, parties.party_of(rank), job_ranks),
                    parties.first_worker(rank), memory.waiter, parties.shards().workers(rank)),
      parties_(parties),
      party_(parties.party_of(rank)),
      memory_(std::move(memory.owner)),
      link_(link) {
  join_own_workers();
  float* free = arena_.received();
  for (int b = 0; b < buckets(); ++b) plan_bucket(b, device, free);
  for (std::uint32_t turn = 0; turn < 2; ++turn) scalars_[turn] = plan_scalars(turn);
  norms_ = plan_gathering(arena_.block_norms(), true, plan_.buckets);
}

MessageExchange::~MessageExchange() {
  // A send that an exception interrupted cannot be taken back: its receiver may still be reading.
  if (std::uncaught_exceptions() > 0) memory_->abandon();
}

ElementRange MessageExchange::slice(int worker, int bucket) const {
  return cut_blocks(party_slice(plan_, parties_, party_, bucket), parties_.workers(party_),
                    groups_.first() + worker);
}

void MessageExchange::join_own_workers() {
  struct Own {
    Subtree subtree;
    float* data;
  };
  std::vector<Own> counter;
  int w = 0;
  for (const ShardRange& shards : parties_.worker_shards(party_)) {
    int slot = 0;
    for (const Subtree& subtree : canonical_subtrees(shards)) {
      counter.push_back({subtree, arena_.node(w, slot++)});
      while (counter.size() >= 2 &&
             are_siblings(counter[counter.size() - 2].subtree, counter.back().subtree)) {
        const Own right = counter.back();
        counter.pop_back();
        counter.back().subtree.shards *= 2;
        joins_.push_back({counter.back().data, right.data});
      }
    }
    ++w;
  }
  for (int p = 0; p < parties_.parties(); ++p) {
    if (p == party_)
      for (const Own& own : counter) party_nodes_.push_back({p, own.subtree.shards, own.data});
    else
      for (const Subtree& subtree : canonical_subtrees(parties_.shards_of(p)))
        party_nodes_.push_back({p, subtree.shards, nullptr});
  }
}

void MessageExchange::plan_bucket(int bucket, Device& device, float*& received) {
  const ElementRange own = party_slice(plan_, parties_, party_, bucket);
  Traffic& gradients = gradients_.emplace_back();
  for (const PartyNode& node : party_nodes_) {
    float* data = nullptr;  // where the node's part of `own` begins
    if (node.party == party_) {
      data = node.data + own.begin;
      for (int peer = 0; peer < parties_.parties(); ++peer)
        if (peer != party_)
          gradients.sends.push_back(
              {peer, bytes_of(node.data, party_slice(plan_, parties_, peer, bucket))});
    } else {
      data = received;
      gradients.receives.push_back({node.party, bytes_of(data, {0, own.count()})});
      received += own.count();
    }
    for (int w = 0; w < parties_.shards().workers(rank_); ++w) {
      const ElementRange part = slice(w, bucket);
      worker(w).nodes[static_cast<std::size_t>(bucket)].push_back(
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
    const auto part = [&](int party) {
      const ElementRange slice = cut_blocks(bucket, parties_.parties(), party);
      return bytes_of(array, blocks ? blocks_of(slice) : slice);
    };
    for (int peer = 0; peer < parties_.parties(); ++peer) {
      if (peer == party_) continue;
      traffic.sends.push_back({peer, part(party_)});
      traffic.receives.push_back({peer, part(peer)});
    }
  }
  return traffic;
}

MessageExchange::Traffic MessageExchange::plan_scalars(std::uint32_t turn) const {
  const auto part = [&](int party) {
    const ShardRange range = parties_.shards_of(party);
    return bytes_of(arena_.scalars(turn, range.begin), {0, range.count() * plan_.scalars});
  };
  Traffic traffic;
  for (int peer = 0; peer < parties_.parties(); ++peer) {
    if (peer == party_) continue;
    traffic.sends.push_back({peer, part(party_)});
    traffic.receives.push_back({peer, part(peer)});
  }
  return traffic;
}

MessageExchange::Traffic MessageExchange::plan_root(std::span<float* const> arrays,
                                                    bool to_root) const {
  Traffic traffic;
  for (float* array : arrays) {
    for (int b = 0; b < buckets(); ++b) {
      for (int owner = 1; owner < parties_.parties(); ++owner) {
        if (party_ != 0 && party_ != owner) continue;
        const int peer = party_ == 0 ? owner : 0;
        auto& list = (party_ == 0) == to_root ? traffic.receives : traffic.sends;
        list.push_back({peer, bytes_of(array, party_slice(plan_, parties_, owner, b))});
      }
    }
  }
  return traffic;
}

MessageExchange::Traffic MessageExchange::plan_frozen() const {
  Traffic traffic;
  if (plan_.frozen == 0) return traffic;
  const Message frozen{0,
                       bytes_of(arena_.values(), {plan_.elements, plan_.elements + plan_.frozen})};
  if (party_ != 0) traffic.receives.push_back(frozen);
  for (int peer = 1; party_ == 0 && peer < parties_.parties(); ++peer)
    traffic.sends.push_back({peer, frozen.bytes});
  return traffic;
}

void MessageExchange::send(const Traffic& traffic, const char* what) {
  const bool alone = parties_.parties() == parties_.shards().ranks();
  const double patience =
      groups_.waiter().patience_seconds() * (alone ? 1.0 : kPatienceBetweenParties);
  link_->exchange(traffic.sends, traffic.receives, {what, worker(0).step, patience});
}

void MessageExchange::wait_scalars(int index) {
  const char* what = "finished the forward pass";
  if (speaks(index)) {
    wait_for(kScalars, 0, what);
    send(scalars_[worker(0).turn % 2], what);
    publish_in(kAllScalars, 0);
  } else {
    wait_for_speaker(kAllScalars, index, what);
  }
}

void MessageExchange::publish(int index, int bucket) {
  publish_in(of_bucket(bucket, kPublished), index);
}

std::span<const TreeNode> MessageExchange::collect(int index, int bucket) {
  const char* what = "finished the gradients";
  if (speaks(index) || !joins_.empty()) wait_for(of_bucket(bucket, kPublished), index, what);
  if (!joins_.empty()) {
    join_part(index, bucket);
    publish_in(of_bucket(bucket, kJoined), index);
  }
  if (speaks(index)) {
    if (!joins_.empty()) wait_for(of_bucket(bucket, kJoined), 0, what);
    send(gradients_[static_cast<std::size_t>(bucket)], what);
    publish_in(of_bucket(bucket, kReceived), 0);
  } else {
    wait_for_speaker(of_bucket(bucket, kReceived), index, what);
  }
  return nodes(index, bucket);
}

// Each worker joins its part of the whole bucket, for all parties' slices.
void MessageExchange::join_part(int index, int bucket) {
  const ElementRange part = cut_blocks(plan_.buckets[static_cast<std::size_t>(bucket)],
                                       parties_.workers(party_), groups_.first() + index);
  for (const Join& join : joins_)
    for (std::int64_t i = part.begin; i < part.end; ++i) join.left[i] += join.right[i];
}

void MessageExchange::wait_norms(int index) {
  const char* what = "finished the norms of its gradients";
  if (speaks(index)) {
    wait_for(kNorms, 0, what);
    send(norms_, what);
    publish_in(kAllNorms, 0);
  } else {
    wait_for_speaker(kAllNorms, index, what);
  }
}

void MessageExchange::deliver(int index, int bucket) {
  publish_in(of_bucket(bucket, kDelivered), index);
  if (!speaks(index)) return;
  const char* what = "delivered its weights";
  wait_for(of_bucket(bucket, kDelivered), 0, what);
  send(weights_[static_cast<std::size_t>(bucket)], what);
  if (bucket + 1 == buckets()) publish_in(kWeights, 0);
}

void MessageExchange::finish(int index) {
  if (buckets() == 0) return;
  wait_for_speaker(kWeights, index, "delivered its weights");
}

void MessageExchange::gather_states() {
  finish(0);
  if (!speaks(0)) return;
  std::vector<float*> states;
  for (int i = 0; i < plan_.states; ++i) states.push_back(arena_.state(i));
  send(plan_root(states, true), "sent its optimizer state");
}

void MessageExchange::share_state(int index) {
  finish(0);
  const char* what = "sent its optimizer state";
  ++fills_;
  if (!speaks(0)) return groups_.wait_for_speaker(kFilled, fills_, -1, what);
  send(plan_gathering(arena_.state(index), false, plan_.buckets), what);
  groups_.counter(kFilled, 0).publish(fills_);
}

// Party 0 hands every owner its slices; the weights then go round as after any step.
void MessageExchange::filled() {
  const char* what = "loaded the weights";
  ++fills_;
  if (!speaks(0)) return groups_.wait_for_speaker(kFilled, fills_, -1, what);
  std::vector<float*> arrays = {arena_.values()};
  for (int i = 0; i < plan_.states; ++i) arrays.push_back(arena_.state(i));
  send(plan_root(arrays, false), what);
  send(plan_frozen(), what);
  for (const Traffic& weights : weights_) send(weights, what);
  groups_.counter(kFilled, 0).publish(fills_);
}

}  // namespace lockstep
