// Team: the worker threads of this rank, each with the shards that it runs and the lanes on which
// it runs them. On a CPU a worker has one lane. On a GPU a rank has one worker, which queues the
// work of as many lanes as shards are to run at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/communication/communicator.h"
#include "runtime/communication/device_link.h"
#include "runtime/step/replica.h"

namespace lockstep {

struct Lane {
  ShardRange shards;  // of the worker's
  std::unique_ptr<Stream> stream;
  std::unique_ptr<Replica> replica;
};

struct Worker {
  int index = 0;            // in this rank
  ShardRange shards;        // may be empty
  std::vector<Lane> lanes;  // at least one
  // Where several lanes meet: what they have added up is joined, exchanged and updated here.
  std::unique_ptr<Stream> meeting;

  // What runs one shard after another, such as an evaluation, does so on the first lane.
  Stream& stream() { return *lanes.front().stream; }
  Replica& replica() const { return *lanes.front().replica; }
  Stream& update_stream() { return meeting ? *meeting : stream(); }
  std::vector<Stream*> streams();
};

// The job's first failure, which the other ranks know of: print it and end the job.
class AnnouncedError : public Error {
 public:
  explicit AnnouncedError(const std::string& message) : Error(message) {}
};

class Team {
 public:
  // Builds `lanes` replicas a worker, or as many as it has shards, on its own thread, for shards of
  // up to max_rows rows. `link`: between the ranks' devices, or null.
  Team(const Blueprint& blueprint, const ShardPlan& plan, std::int64_t max_rows,
       Communicator& communicator, Backend& backend, std::shared_ptr<DeviceLink> link = nullptr,
       int lanes = 1);

  // New replicas in place of the old, each again on its own thread. Values are to be bound anew.
  void rebuild(const Blueprint& blueprint);

  // Runs `work` for every worker on its first stream and waits for all of its streams. The first
  // failure of the job is thrown as AnnouncedError on the rank where it happened, after the other
  // ranks were told; what follows from it, there and elsewhere, is PeerFailed.
  void run(const std::function<void(Worker&)>& work);

  std::vector<Worker>& workers() { return workers_; }
  ParamSet& params() { return replica().params(); }  // of worker 0
  Replica& replica() { return workers_.front().replica(); }
  ShardRange shards() const { return shards_; }  // of this rank
  const ShardPlan& plan() const { return plan_; }
  Backend& backend() { return backend_; }
  Communicator& communicator() { return communicator_; }
  const std::shared_ptr<DeviceLink>& link() const { return link_; }
  // A collective, between runs: the node's ranks pack weights together from now on.
  void share_packed_copies(double patience_seconds);
  void bind_values(float* flat);
  void bind_trained_values(float* flat);

 private:
  ShardPlan plan_;
  ShardRange shards_;
  std::int64_t max_rows_;
  Communicator& communicator_;
  Backend& backend_;
  std::shared_ptr<DeviceLink> link_;
  std::shared_ptr<PackedCopies> packed_copies_;  // of all workers
  std::vector<Worker> workers_;
};

}  // namespace lockstep
