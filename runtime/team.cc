#include "runtime/team.h"

#include <exception>
#include <mutex>

namespace lockstep {

Team::Team(const Blueprint& blueprint, const ShardPlan& plan, std::int64_t max_rows,
           Communicator& communicator, Backend& backend)
    : plan_(plan), shards_(plan.of_rank(communicator.rank())), communicator_(communicator),
      backend_(backend) {
  const int rank = communicator.rank();
  for (int index = 0; index < plan.workers(rank); ++index)
    workers_.push_back({index, plan.of_worker(rank, index), backend.make_stream(index), nullptr});
  // On its own thread, so that a worker's memory lies near its core.
  run([&](Worker& worker) {
    worker.replica = std::make_unique<Replica>(blueprint, max_rows, backend, *worker.stream);
  });
}

void Team::run(const std::function<void(Worker&)>& work) {
  std::mutex mutex;
  std::exception_ptr first;
  for (Worker& worker : workers_) {
    worker.stream->submit([&, this] {
      try {
        work(worker);
      } catch (...) {
        // Before anything else: the others may wait for this worker.
        if (communicator_.announce_failure()) {
          const std::lock_guard lock(mutex);
          if (!first) first = std::current_exception();
        }
        throw;
      }
    });
  }
  // Worker 0's stream is this thread's: its work runs inside synchronize().
  std::exception_ptr other;
  for (Worker& worker : workers_) {
    try {
      worker.stream->synchronize();
    } catch (...) {
      if (!other) other = std::current_exception();
    }
  }
  if (first) std::rethrow_exception(first);
  if (other) std::rethrow_exception(other);
}

void Team::bind_values(float* flat) {
  for (Worker& worker : workers_) worker.replica->params().bind_values(backend_, flat);
}

}  // namespace lockstep
