#include "io/loading/epoch_orders.h"

#include "io/loading/sampler.h"

namespace lockstep {

EpochOrders::EpochOrders(std::uint64_t seed, std::int64_t rows, std::int64_t end)
    : seed_(seed), rows_(rows), end_(end) {}

EpochOrder EpochOrders::get(std::int64_t epoch) {
  std::shared_future<EpochOrder> order;
  {
    const std::lock_guard lock(mutex_);
    order = start(epoch);
    if (epoch + 1 < end_) start(epoch + 1);
    orders_.erase(orders_.begin(), orders_.lower_bound(epoch - 1));
  }
  return order.get();
}

std::shared_future<EpochOrder> EpochOrders::start(std::int64_t epoch) {
  std::shared_future<EpochOrder>& order = orders_[epoch];
  if (!order.valid())
    order = std::async(std::launch::async, [seed = seed_, rows = rows_, epoch]() -> EpochOrder {
      return std::make_shared<const std::vector<std::int64_t>>(epoch_order(seed, epoch, rows));
    });
  return order;
}

}  // namespace lockstep
