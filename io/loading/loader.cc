#include "io/loading/loader.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <limits>
#include <mutex>
#include <optional>
#include <thread>

#include "io/loading/epoch_orders.h"
#include "io/loading/shard_buffer.h"

namespace lockstep {

namespace {

// What both loaders know: the plan, the order, and which shards will be asked for.
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

// Reader threads fill a ring of look_ahead + 1 steps. A shard's cell of step q is free once the
// shard's worker has asked for a step after q - ring, whose tensors it then no longer uses.
class ReadAheadLoader final : public PlannedLoader {
 public:
  ReadAheadLoader(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options)
      : PlannedLoader(std::move(dataset), options),
        ring_(std::max(options.look_ahead, 1) + 1),
        in_use_(options.shards.size(), options.first_step - 1),
        next_step_(options.first_step) {
    for (std::size_t i = 0; i < options.shards.size() * static_cast<std::size_t>(ring_); ++i)
      cells_.push_back(
          std::make_unique<Cell>(*dataset_, augmentation(), options.plan.max_shard_rows()));
    if (options.shards.empty()) return;
    for (int i = 0; i < std::max(options.reader_threads, 1); ++i)
      workspaces_.push_back(std::make_unique<ShardWorkspace>(*dataset_, augmentation(),
                                                             options.plan.max_shard_rows()));
    for (const auto& workspace : workspaces_)
      readers_.emplace_back([this, &own = *workspace] { read_ahead(own); });
  }

  ~ReadAheadLoader() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    room_.notify_all();
    for (std::thread& reader : readers_) reader.join();
  }

  const ShardBatch& fetch(std::int64_t step, std::int64_t shard) override {
    const std::size_t index = index_of(shard);
    Cell& cell = cell_of(step, index);
    std::unique_lock lock(mutex_);
    LOCKSTEP_CHECK(step == in_use_[index] + 1, "step {} of shard {} after step {}", step, shard,
                   in_use_[index]);
    LOCKSTEP_CHECK(options_.last_step == 0 || step < options_.last_step,
                   "step {} is past the last, {}", step, options_.last_step - 1);
    in_use_[index] = step;
    room_.notify_all();
    cell.filled.wait(lock, [&] { return cell.step == step; });
    if (cell.error) std::rethrow_exception(cell.error);
    return cell.buffer.batch();
  }

 private:
  struct Cell {
    Cell(const Dataset& dataset, const Augmentation* augmentation, std::int64_t most_rows)
        : buffer(dataset, augmentation, most_rows) {}
    ShardBuffer buffer;
    std::int64_t step = -1;          // that it holds
    std::exception_ptr error;        // of reading it
    std::condition_variable filled;  // wakes its own worker alone
  };
  struct Ticket {  // one shard of one step, to be read
    std::int64_t step;
    std::size_t index;
  };

  Cell& cell_of(std::int64_t step, std::size_t index) {
    return *cells_[static_cast<std::size_t>(step % ring_) * in_use_.size() + index];
  }

  // Tickets are given out in the order in which workers need them; an error stays with its cell,
  // so that it surfaces at the same step however fast the readers were.
  void read_ahead(ShardWorkspace& workspace) {
    EpochOrder epoch_order;
    std::int64_t epoch = -1;
    while (const std::optional<Ticket> ticket = next_ticket()) {
      Cell& cell = cell_of(ticket->step, ticket->index);
      std::exception_ptr error;
      try {
        const ShardPlace place =
            place_of(options_.plan, ticket->step, options_.shards[ticket->index]);
        if (epoch != place.epoch) {
          epoch_order = order(place.epoch);
          epoch = place.epoch;
        }
        cell.buffer.fill(*dataset_, epoch_order, place, workspace);
      } catch (...) {
        error = std::current_exception();
      }
      {
        const std::lock_guard lock(mutex_);
        cell.error = error;
        cell.step = ticket->step;
      }
      cell.filled.notify_all();
    }
  }

  // Waits until its cell is free; nothing when all is read or the loader is going.
  std::optional<Ticket> next_ticket() {
    std::unique_lock lock(mutex_);
    const bool all_given = options_.last_step != 0 && next_step_ >= options_.last_step;
    if (stopping_ || all_given) return std::nullopt;
    const Ticket ticket{next_step_, next_index_};
    if (++next_index_ == in_use_.size()) {
      next_index_ = 0;
      ++next_step_;
    }
    room_.wait(lock, [&] { return stopping_ || ticket.step < in_use_[ticket.index] + ring_; });
    if (stopping_) return std::nullopt;
    return ticket;
  }

  const std::int64_t ring_;  // steps
  std::mutex mutex_;
  std::condition_variable room_;
  std::vector<std::unique_ptr<Cell>> cells_;  // (ring, shards)
  std::vector<std::int64_t> in_use_;          // the step that each shard's worker has
  std::int64_t next_step_;                    // of the next ticket
  std::size_t next_index_ = 0;
  bool stopping_ = false;
  std::vector<std::unique_ptr<ShardWorkspace>> workspaces_;  // by reader
  std::vector<std::thread> readers_;
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
