#include "runtime/communication/worker_groups.h"

namespace lockstep {

WorkerGroups::WorkerGroups(StepCounter* counters, std::vector<int> rank_of_worker, int first,
                           const Waiter& waiter)
    : counters_(counters),
      rank_of_worker_(std::move(rank_of_worker)),
      first_(first),
      waiter_(waiter) {}

StepCounter& WorkerGroups::counter(std::size_t group, int worker) const {
  return counters_[group * rank_of_worker_.size() + static_cast<std::size_t>(worker)];
}

void WorkerGroups::publish(std::size_t group, int worker, std::uint32_t turn) const {
  counter(group, first_ + worker).publish(turn);
}

void WorkerGroups::wait(std::size_t group, std::uint32_t turn, std::int64_t step,
                        const char* what) const {
  for (int worker = 0; worker < workers(); ++worker) {
    if (waiter_.wait(counter(group, worker), turn, of_other_rank(worker))) continue;
    std::vector<int> late;
    for (int other = 0; other < workers(); ++other)
      // Who arrived just now was late by as much.
      if (other == worker || !counter(group, other).reached(turn))
        late.push_back(rank_of_worker_[static_cast<std::size_t>(other)]);
    throw waiter_.late(std::move(late), what, step, waiter_.patience_seconds());
  }
}

void WorkerGroups::wait_for_speaker(std::size_t group, std::uint32_t turn, std::int64_t step,
                                    const char* what) const {
  StepCounter& speaker = counter(group, 0);
  const bool other = of_other_rank(0);
  if (waiter_.wait(speaker, turn, other) || waiter_.wait(speaker, turn, other)) return;
  throw late_error({rank_of_worker_.front()}, what, step, 2 * waiter_.patience_seconds());
}

}  // namespace lockstep
