#include "runtime/step/lanes.h"

#include <algorithm>

#include "kernels/core/memory_use.h"
#include "kernels/core/profile.h"

namespace lockstep {

class Lanes::Target final : public GradientTarget {
 public:
  Target(Lanes& lanes, std::size_t lane) : lanes_(lanes), lane_(lane) {}
  float* node(int slot) override { return lanes_.node(lane_, slot); }
  void publish(int bucket) override { lanes_.finished(lane_, bucket); }

 private:
  Lanes& lanes_;
  std::size_t lane_;
};

Lanes::Lanes(Worker& worker, const std::vector<ElementRange>& buckets, Exchange& exchange,
             Backend& backend)
    : worker_(worker), buckets_(buckets), exchange_(exchange), backend_(backend) {
  std::int64_t most = 0;
  for (const Lane& lane : worker.lanes) most = std::max(most, lane.shards.count());
  for (std::int64_t turn = 0; turn < most; ++turn)
    for (std::size_t l = 0; l < worker.lanes.size(); ++l)
      if (turn < worker.lanes[l].shards.count())
        turns_.push_back({l, worker.lanes[l].shards.begin + turn});
  if (worker.lanes.size() > 1) place_nodes();
  finished_.resize(buckets.size());
  for (std::size_t l = 0; l < worker.lanes.size(); ++l) {
    Lane& lane = worker.lanes[l];
    targets_.push_back(std::make_unique<Target>(*this, l));
    reducers_.push_back(std::make_unique<Reducer>(lane.replica->params(), buckets, lane.shards,
                                                  *targets_[l], backend, *lane.stream));
  }
}

// A subtree of the worker is joined where the first of its parts lies, so that place is the
// exchange's; the other parts take what places are left of it, then such of their own.
void Lanes::place_nodes() {
  for (const Lane& lane : worker_.lanes) {
    subtrees_.push_back(canonical_subtrees(lane.shards));
    nodes_.emplace_back(static_cast<std::size_t>(counter_depth(lane.shards)), nullptr);
  }
  int taken = 0;
  Place next{0, 0};
  for (const Subtree& whole : canonical_subtrees(worker_.shards)) {
    std::vector<Place>& parts = joined_.emplace_back();
    for (std::int64_t shards = 0; shards < whole.shards;) {
      while (next.second == subtrees_[next.first].size()) next = {next.first + 1, 0};
      shards += subtrees_[next.first][next.second].shards;
      parts.push_back(next);
      ++next.second;
    }
    const auto [lane, slot] = parts.front();
    nodes_[lane][slot] = exchange_.node(worker_.index, taken++);
  }
  const int available = counter_depth(worker_.shards);
  const std::int64_t elements = worker_.replica().params().trained_elements();
  const MemoryUse use("gradients");
  for (std::vector<float*>& of_lane : nodes_)
    for (float*& node : of_lane) {
      if (node != nullptr) continue;
      if (taken < available) {
        node = exchange_.node(worker_.index, taken++);
      } else {
        // What no parameter covers stays zero.
        own_nodes_.push_back(backend_.zeros({elements}));
        node = own_nodes_.back().data<float>();
      }
    }
}

float* Lanes::node(std::size_t lane, int slot) const {
  return nodes_.empty() ? exchange_.node(worker_.index, slot)
                        : nodes_[lane][static_cast<std::size_t>(slot)];
}

void Lanes::begin_step(std::int64_t step, std::int64_t weights_version) {
  exchange_.begin(worker_.index, step);
  if (worker_.lanes.size() > 1) {
    Stream& update = worker_.update_stream();
    worker_.replica().prepare(update, weights_version);  // what all lanes read
    const std::shared_ptr<Event> ready = update.record();
    for (const Lane& lane : worker_.lanes) lane.stream->wait(ready);
    for (auto& of_bucket : finished_) of_bucket.assign(worker_.lanes.size(), nullptr);
  }
  for (const auto& reducer : reducers_) reducer->begin_step();
}

void Lanes::finished(std::size_t lane, int bucket) {
  if (worker_.lanes.size() == 1) return exchange_.publish(worker_.index, bucket);
  auto& events = finished_[static_cast<std::size_t>(bucket)];
  events[lane] = worker_.lanes[lane].stream->record();
  if (std::ranges::count(events, nullptr) > 0) return;
  for (const std::shared_ptr<Event>& event : events) worker_.update_stream().wait(event);
  join(bucket);
  exchange_.publish(worker_.index, bucket);
}

void Lanes::join(int bucket) {
  Stream& stream = worker_.update_stream();
  const ProfileScope scope(stream.profile(), "tree");
  const ElementRange range = buckets_[static_cast<std::size_t>(bucket)];
  for (const std::vector<Place>& parts : joined_) {
    if (parts.size() == 1) continue;
    std::vector<TreeNode> nodes;
    for (const auto& [lane, slot] : parts)
      nodes.push_back({backend_.borrow(nodes_[lane][slot] + range.begin, {range.count()}),
                       subtrees_[lane][slot].shards});
    Tensor sum = nodes.front().sum;
    backend_.tree_sum(stream, nodes, 1.0f, sum);
  }
}

void Lanes::end_step() {
  if (worker_.lanes.size() == 1) return;
  for (const Lane& lane : worker_.lanes) worker_.update_stream().wait(lane.stream->record());
}

}  // namespace lockstep
