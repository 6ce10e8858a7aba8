// WorkerGroups: how the workers that share an exchange's memory tell each other how far they are.
// Counters of one kind form a group, one a worker; groups stand one after another in the arena.
#pragma once

#include <vector>

#include "runtime/communication/waiter.h"

namespace lockstep {

class WorkerGroups {
 public:
  // rank_of_worker: by which number messages name the rank of each worker that shares the memory;
  // `first` is the own rank's worker 0 among them.
  WorkerGroups(StepCounter* counters, std::vector<int> rank_of_worker, int first,
               const Waiter& waiter);

  int workers() const { return static_cast<int>(rank_of_worker_.size()); }
  int first() const { return first_; }
  const Waiter& waiter() const { return waiter_; }
  StepCounter& counter(std::size_t group, int worker) const;  // of all that share the memory

  // `worker`: of the own rank. `turn`: the step, as the counters count.
  void publish(std::size_t group, int worker, std::uint32_t turn) const;
  // Until all workers have published. Throws Error naming the ranks that are late ("has not
  // <what> of step <step>"), or PeerFailed.
  void wait(std::size_t group, std::uint32_t turn, std::int64_t step, const char* what) const;
  // Until the first worker, who speaks with others for all, has published. It names late ranks when
  // its own patience ends; this wait leaves it the time to.
  void wait_for_speaker(std::size_t group, std::uint32_t turn, std::int64_t step,
                        const char* what) const;

 private:
  bool of_other_rank(int worker) const {
    return rank_of_worker_[static_cast<std::size_t>(worker)] !=
           rank_of_worker_[static_cast<std::size_t>(first_)];
  }

  StepCounter* counters_;
  std::vector<int> rank_of_worker_;
  int first_;
  Waiter waiter_;
};

}  // namespace lockstep
