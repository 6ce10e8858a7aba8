#include "runtime/step/team.h"

#include <algorithm>
#include <mutex>

#include "kernels/core/memory_use.h"

namespace lockstep {

std::vector<Stream*> Worker::streams() {
  std::vector<Stream*> all;
  for (const Lane& lane : lanes) all.push_back(lane.stream.get());
  if (meeting) all.push_back(meeting.get());
  return all;
}

Team::Team(const Blueprint& blueprint, const ShardPlan& plan, std::int64_t max_rows,
           Communicator& communicator, Backend& backend, std::shared_ptr<DeviceLink> link,
           int lanes)
    : plan_(plan),
      shards_(plan.of_rank(communicator.rank())),
      max_rows_(max_rows),
      communicator_(communicator),
      backend_(backend),
      link_(std::move(link)) {
  const int rank = communicator.rank();
  for (int index = 0; index < plan.workers(rank); ++index) {
    Worker& worker = workers_.emplace_back();
    worker.index = index;
    worker.shards = plan.of_worker(rank, index);
    const auto shards = static_cast<int>(worker.shards.count());
    const int count = std::clamp(shards, 1, lanes);
    for (int lane = 0; lane < count; ++lane)
      worker.lanes.push_back(
          {part_of(worker.shards, count, lane), backend.make_stream(index), nullptr});
    if (count > 1) worker.meeting = backend.make_stream(index);
  }
  rebuild(blueprint);
}

// On its own thread, so that a worker's memory lies near its core.
void Team::rebuild(const Blueprint& blueprint) {
  packed_copies_ = std::make_shared<PackedCopies>(communicator_, plan_);
  run([&](Worker& worker) {
    const MemoryUse use(kReplicaUse);
    for (Lane& lane : worker.lanes) lane.replica.reset();  // never the old and the new at a time
    for (Lane& lane : worker.lanes)
      lane.replica =
          std::make_unique<Replica>(blueprint, max_rows_, backend_, *lane.stream, packed_copies_);
  });
}

void Team::run(const std::function<void(Worker&)>& work) {
  std::mutex mutex;
  std::string first;
  const auto announce = [&](const std::string& message) {
    if (!communicator_.announce_failure()) return;
    const std::lock_guard lock(mutex);
    if (first.empty()) first = message;
  };
  bool failed = false;
  for (Worker& worker : workers_) {
    const auto watched = [&] {
      try {
        work(worker);
      } catch (const PeerFailed&) {
        throw;
      } catch (const std::exception& error) {
        announce(error.what());  // before anything else: the others may wait for this worker
        throw;
      }
    };
    try {
      worker.stream().submit(watched);
    } catch (const std::exception&) {  // a GPU's stream is given its work in this call
      failed = true;
    }
  }
  // Worker 0's stream is this thread's: its work runs inside synchronize().
  for (Worker& worker : workers_)
    for (Stream* const stream : worker.streams()) {
      try {
        stream->synchronize();
      } catch (const PeerFailed&) {
        failed = true;
      } catch (const std::exception& error) {
        announce(error.what());  // of a device's kernel; what the work threw is announced already
        failed = true;
      }
    }
  if (!first.empty()) throw AnnouncedError(first);
  if (failed) throw PeerFailed();
}

void Team::share_packed_copies(double patience_seconds) {
  packed_copies_->share(communicator_, plan_, patience_seconds, backend_);
}

void Team::bind_values(float* flat) {
  for (Worker& worker : workers_)
    for (const Lane& lane : worker.lanes) lane.replica->params().bind_values(backend_, flat);
}

void Team::bind_trained_values(float* flat) {
  for (Worker& worker : workers_)
    for (const Lane& lane : worker.lanes)
      lane.replica->params().bind_trained_values(backend_, flat);
}

}  // namespace lockstep
