#include "io/loading/read_ahead.h"

#include <algorithm>

namespace lockstep {

ReadAheadLoader::ReadAheadLoader(std::shared_ptr<const Dataset> dataset,
                                 const LoaderOptions& options)
    : PlannedLoader(std::move(dataset), options),
      ring_(std::max(options.look_ahead, 1) + 1),
      in_use_(options.shards.size(), options.first_step - 1),
      next_step_(options.first_step) {
  if (options.shards.empty()) return;
  const std::int64_t most_rows = options.plan.max_shard_rows();
  const std::size_t shards = options.shards.size();
  for (std::size_t i = 0; i < shards * static_cast<std::size_t>(ring_); ++i)
    cells_.push_back(std::make_unique<Cell>(*dataset_, augmentation(), most_rows));
  if (dataset_->packed())
    for (std::int64_t i = 0; i < ring_; ++i)
      shares_.push_back(
          std::make_unique<Shares>(*dataset_, most_rows * static_cast<std::int64_t>(shards)));
  for (int i = 0; i < std::max(options.reader_threads, 1); ++i)
    readers_.push_back(std::make_unique<Reader>(*dataset_, augmentation(), most_rows));
  for (const auto& reader : readers_)
    threads_.emplace_back([this, &own = *reader] { read_ahead(own); });
}

ReadAheadLoader::~ReadAheadLoader() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  room_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

const ShardBatch& ReadAheadLoader::fetch(std::int64_t step, std::int64_t shard) {
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

// Steps are begun in the order in which workers need them; an error stays with its cells, so that
// it surfaces at the same step however fast the readers were.
void ReadAheadLoader::read_ahead(Reader& reader) {
  while (const std::optional<Ticket> ticket = next_ticket()) {
    if (ticket->kind == Ticket::Kind::kShare)
      read_share(*ticket, reader);
    else
      read_shard(*ticket, reader);
  }
}

// Waits until there is something to do; nothing when all is read or the loader is going.
std::optional<ReadAheadLoader::Ticket> ReadAheadLoader::next_ticket() {
  std::unique_lock lock(mutex_);
  room_.wait(lock, [&] {
    return stopping_ || !ready_.empty() || has_room() || (all_begun() && shares_in_work_ == 0);
  });
  if (stopping_) return std::nullopt;
  if (!ready_.empty()) {
    const Ticket ticket = ready_.front();
    ready_.pop_front();
    return ticket;
  }
  if (all_begun()) return std::nullopt;
  const Ticket ticket{unpacks() ? Ticket::Kind::kShare : Ticket::Kind::kShard, next_step_,
                      next_part_};
  if (unpacks()) {
    Shares& shares = shares_of(next_step_);
    if (next_part_ == 0) {
      shares.left = parts();
      shares.error = nullptr;
    }
    ++shares_in_work_;
  }
  if (++next_part_ == parts()) {
    next_part_ = 0;
    ++next_step_;
  }
  return ticket;
}

// For the next part to begin: in its own cell, or in those of all shards.
bool ReadAheadLoader::has_room() const {
  if (all_begun()) return false;
  const std::int64_t oldest =
      unpacks() ? *std::min_element(in_use_.begin(), in_use_.end()) : in_use_[next_part_];
  return next_step_ < oldest + ring_;
}

const EpochOrder& ReadAheadLoader::order_of(const ShardPlace& place, Reader& reader) {
  if (reader.epoch != place.epoch) {
    reader.order = order(place.epoch);
    reader.epoch = place.epoch;
  }
  return reader.order;
}

void ReadAheadLoader::read_shard(const Ticket& ticket, Reader& reader) {
  Cell& cell = cell_of(ticket.step, ticket.index);
  std::exception_ptr error;
  try {
    const ShardPlace to = place(ticket.step, ticket.index);
    const EpochOrder& order = order_of(to, reader);
    if (ticket.kind == Ticket::Kind::kShard) {
      cell.buffer.fill(*dataset_, order, to, reader.workspace);
    } else {
      const auto begin = static_cast<std::int64_t>(ticket.index) * options_.plan.max_shard_rows();
      const Shares& shares = shares_of(ticket.step);
      if (shares.error) std::rethrow_exception(shares.error);
      cell.buffer.fill(shares.rows.slice(begin, begin + to.rows), order, to, reader.workspace);
    }
  } catch (...) {
    error = std::current_exception();
  }
  {
    const std::lock_guard lock(mutex_);
    cell.error = error;
    cell.step = ticket.step;
  }
  cell.filled.notify_all();
}

void ReadAheadLoader::read_share(const Ticket& ticket, Reader& reader) {
  Shares& shares = shares_of(ticket.step);
  std::exception_ptr error;
  try {
    std::vector<StepRows::Wanted> wanted;
    for (std::size_t index = 0; index < options_.shards.size(); ++index) {
      const ShardPlace from = place(ticket.step, index);
      const EpochOrder& order = order_of(from, reader);
      const auto begin = static_cast<std::int64_t>(index) * options_.plan.max_shard_rows();
      for (std::int64_t i = 0; i < from.rows; ++i) {
        const std::int64_t at = from.begin + i;
        const std::int64_t sample = order ? (*order)[static_cast<std::size_t>(at)] : at;
        wanted.push_back({sample % dataset_->rows(), begin + i});
      }
    }
    shares.rows.read_share(*dataset_, std::move(wanted), ticket.index, parts(), reader.scratch);
  } catch (...) {
    error = std::current_exception();
  }
  {
    const std::lock_guard lock(mutex_);
    if (error && (!shares.error || ticket.index < shares.bad)) {
      shares.error = error;
      shares.bad = ticket.index;
    }
    --shares_in_work_;
    if (--shares.left > 0) return;
    for (std::size_t index = 0; index < in_use_.size(); ++index)
      ready_.push_back({Ticket::Kind::kShardOfShares, ticket.step, index});
  }
  room_.notify_all();
}

}  // namespace lockstep
