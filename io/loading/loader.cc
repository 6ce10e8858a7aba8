#include "io/loading/loader.h"

#include "io/loading/planned_loader.h"
#include "io/loading/read_ahead.h"
#include "io/loading/shard_buffer.h"

namespace lockstep {

namespace {

// Rows in memory: the worker that asks copies and augments them itself: all cores compute, so that
// another thread would gain nothing. A shard's slot is touched by its own
// worker alone, so there is no lock; only the first step of an epoch asks for the order.
class ResidentLoader final : public PlannedLoader {
 public:
  ResidentLoader(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options)
      : PlannedLoader(std::move(dataset), options) {
    for (std::size_t i = 0; i < options.shards.size(); ++i)
      slots_.push_back(
          std::make_unique<Slot>(*dataset_, augmentation(), options.plan.max_shard_rows()));
    if (!options.shards.empty()) order(options.first_step / options.plan.steps_per_epoch());
  }

  const ShardBatch& fetch(std::int64_t step, std::int64_t shard) override {
    Slot& slot = *slots_[index_of(shard)];
    const ShardPlace place = place_of(options_.plan, step, shard);
    if (slot.epoch != place.epoch) {
      slot.order = order(place.epoch);
      slot.epoch = place.epoch;
    }
    slot.buffer.fill(*dataset_, slot.order, place, slot.workspace);
    return slot.buffer.batch();
  }

 private:
  struct alignas(64) Slot {  // neighbours belong to other threads
    Slot(const Dataset& dataset, const Augmentation* augmentation, std::int64_t most_rows)
        : buffer(dataset, augmentation, most_rows), workspace(dataset, augmentation, most_rows) {}
    ShardBuffer buffer;
    ShardWorkspace workspace;
    EpochOrder order;
    std::int64_t epoch = -1;
  };

  std::vector<std::unique_ptr<Slot>> slots_;
};

}  // namespace

std::unique_ptr<Loader> Loader::make(std::shared_ptr<const Dataset> dataset,
                                     const LoaderOptions& options) {
  LOCKSTEP_CHECK(options.plan.rows % dataset->rows() == 0,
                 "a plan for {} rows of a dataset with {}", options.plan.rows, dataset->rows());
  if (options.plan.batch < 1)
    throw Error("training.batch is {}; it must be at least 1", options.plan.batch);
  if (options.plan.steps_per_epoch() == 0)
    throw Error(
        "a batch of {} rows cannot be filled from {} rows; with training.drop_last no step "
        "is left: lower training.batch",
        options.plan.batch, options.plan.rows);
  if (options.resident) return std::make_unique<ResidentLoader>(std::move(dataset), options);
  return std::make_unique<ReadAheadLoader>(std::move(dataset), options);
}

}  // namespace lockstep
