// PlannedLoader: what every loader knows: the plan, the order of samples, and which shards will be
// asked for.
#pragma once

#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "io/loading/epoch_orders.h"
#include "io/loading/loader.h"

namespace lockstep {

class PlannedLoader : public Loader {
 protected:
  PlannedLoader(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options)
      : dataset_(std::move(dataset)), options_(options) {
    const std::int64_t steps = options.plan.steps_per_epoch();
    const std::int64_t epochs = options.last_step == 0 ? std::numeric_limits<std::int64_t>::max()
                                                       : (options.last_step + steps - 1) / steps;
    if (options.shuffle) orders_.emplace(options.seed, options.plan.rows, epochs);
    places_.assign(static_cast<std::size_t>(options.plan.shards), kNotOurs);
    for (std::size_t i = 0; i < options.shards.size(); ++i)
      places_.at(static_cast<std::size_t>(options.shards[i])) = i;
  }

  const Augmentation* augmentation() const { return options_.augmentation.get(); }
  EpochOrder order(std::int64_t epoch) { return orders_ ? orders_->get(epoch) : EpochOrder{}; }

  std::size_t index_of(std::int64_t shard) const {
    LOCKSTEP_CHECK(0 <= shard && shard < options_.plan.shards &&
                       places_[static_cast<std::size_t>(shard)] != kNotOurs,
                   "shard {} is not one of this loader's", shard);
    return places_[static_cast<std::size_t>(shard)];
  }

  static constexpr std::size_t kNotOurs = std::numeric_limits<std::size_t>::max();

  std::shared_ptr<const Dataset> dataset_;
  LoaderOptions options_;

 private:
  std::optional<EpochOrders> orders_;
  std::vector<std::size_t> places_;  // of a shard in options_.shards
};

}  // namespace lockstep
