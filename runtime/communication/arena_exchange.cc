#include "runtime/communication/arena_exchange.h"

#include <utility>

namespace lockstep {

ArenaExchange::ArenaExchange(const ExchangePlan& plan, int rank, ExchangeArena arena,
                             std::vector<int> rank_of_worker, int first, const Waiter& waiter,
                             int workers)
    : plan_(plan),
      rank_(rank),
      arena_(std::move(arena)),
      groups_(arena_.counters(), std::move(rank_of_worker), first, waiter),
      workers_(static_cast<std::size_t>(workers)) {
  for (Worker& worker : workers_) worker.nodes.resize(plan_.buckets.size());
}

void ArenaExchange::begin(int index, std::int64_t step) {
  Worker& self = worker(index);
  if (self.turn == 0) arena_.touch_nodes(groups_.first() + index);
  finish(index);
  ++self.turn;
  self.step = step;
}

double* ArenaExchange::scalars(int index, std::int64_t shard) {
  return arena_.scalars(worker(index).turn, shard);
}

float* ArenaExchange::sum_target(int index, int bucket) {
  return nodes(index, bucket).front().sum.data<float>();
}

void ArenaExchange::publish_in(std::size_t group, int index) {
  groups_.publish(group, index, worker(index).turn);
}

void ArenaExchange::wait_for(std::size_t group, int index, const char* what) {
  groups_.wait(group, worker(index).turn, worker(index).step, what);
}

void ArenaExchange::wait_for_speaker(std::size_t group, int index, const char* what) {
  groups_.wait_for_speaker(group, worker(index).turn, worker(index).step, what);
}

}  // namespace lockstep
