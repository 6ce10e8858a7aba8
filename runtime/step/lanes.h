// Lanes: how a worker's shards run on its lanes, and how what the lanes add up becomes the worker's
// own gradient. On a CPU a worker has one lane and there is nothing to join. On a GPU several
// streams may each run a shard at a time: they start behind the last step's update, every lane adds
// up the leaves of its own range in buffers of its own, and a bucket that all of them have finished
// is joined, in the tree's order, where the exchange expects the worker's subtrees. The host waits
// for nothing meanwhile, and the bits are those of one lane.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/step/reducer.h"
#include "runtime/step/team.h"

namespace lockstep {

class Lanes {
 public:
  // Before the first step, and again when the worker has new replicas.
  Lanes(Worker& worker, const std::vector<ElementRange>& buckets, Exchange& exchange,
        Backend& backend);

  struct Turn {
    std::size_t lane = 0;
    std::int64_t shard = 0;
  };
  // A step's shards in the order in which they are to be queued: the first of every lane, the
  // second of every lane, ...
  const std::vector<Turn>& turns() const { return turns_; }

  void begin_step(std::int64_t step, std::int64_t weights_version);
  Reducer& reducer(std::size_t lane) { return *reducers_[lane]; }
  void end_step();  // what the update stream is given from now on runs behind all lanes

  float* node(std::size_t lane, int slot) const;

 private:
  class Target;                                       // of a lane's gradients
  using Place = std::pair<std::size_t, std::size_t>;  // lane, slot

  void place_nodes();
  void finished(std::size_t lane, int bucket);
  void join(int bucket);

  Worker& worker_;
  const std::vector<ElementRange>& buckets_;
  Exchange& exchange_;
  Backend& backend_;
  std::vector<Turn> turns_;
  std::vector<std::vector<Subtree>> subtrees_;  // by lane: what its nodes hold in the end
  std::vector<std::vector<float*>> nodes_;      // by lane and slot, where there are several lanes
  std::vector<Tensor> own_nodes_;               // of those, the ones that the exchange lacks
  std::vector<std::vector<Place>> joined_;      // what each subtree of the worker is joined from
  std::vector<std::vector<std::shared_ptr<Event>>> finished_;  // by bucket and lane, in this step
  std::vector<std::unique_ptr<GradientTarget>> targets_;       // by lane
  std::vector<std::unique_ptr<Reducer>> reducers_;             // by lane
};

}  // namespace lockstep
