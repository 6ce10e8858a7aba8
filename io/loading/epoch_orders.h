// EpochOrders: the sample order of the epoch in use, with the next one computed in the background,
// so that no step waits for a shuffle.
#pragma once

#include <cstdint>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace lockstep {

using EpochOrder = std::shared_ptr<const std::vector<std::int64_t>>;

class EpochOrders {
 public:
  // No order is computed from epoch `end` on.
  EpochOrders(std::uint64_t seed, std::int64_t rows, std::int64_t end);

  // The same as epoch_order(); from any thread. Starts the next epoch's and forgets those before
  // the previous one.
  EpochOrder get(std::int64_t epoch);

 private:
  std::shared_future<EpochOrder> start(std::int64_t epoch);

  const std::uint64_t seed_;
  const std::int64_t rows_, end_;
  std::mutex mutex_;
  std::map<std::int64_t, std::shared_future<EpochOrder>> orders_;
};

}  // namespace lockstep
