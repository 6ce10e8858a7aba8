// ReadAheadLoader: reader threads fill a ring of look_ahead + 1 steps. A shard's cell of step q is
// free once the shard's worker has asked for a step after q - ring, whose tensors it then no longer
// uses. A reader takes one shard of a step. Where rows are unpacked together it takes a share of
// the chunks that the step needs, for all shards; once all shares are there, a shard made of them.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "io/loading/planned_loader.h"
#include "io/loading/shard_buffer.h"
#include "io/loading/step_rows.h"

namespace lockstep {

class ReadAheadLoader final : public PlannedLoader {
 public:
  ReadAheadLoader(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options);
  ~ReadAheadLoader() override;
  const ShardBatch& fetch(std::int64_t step, std::int64_t shard) override;

 private:
  struct Cell {  // one shard of one step
    Cell(const Dataset& dataset, const Augmentation* augmentation, std::int64_t most_rows)
        : buffer(dataset, augmentation, most_rows) {}
    ShardBuffer buffer;
    std::int64_t step = -1;          // that it holds
    std::exception_ptr error;        // of reading it
    std::condition_variable filled;  // wakes its own worker alone
  };
  struct Shares {  // of one step, of rows that are unpacked together
    Shares(const Dataset& dataset, std::int64_t most_rows) : rows(dataset, most_rows) {}
    StepRows rows;
    std::size_t left = 0, bad = 0;
    std::exception_ptr error;  // of the first share that has one, whoever was faster
  };
  struct Ticket {  // what a reader does next
    enum class Kind { kShard, kShare, kShardOfShares } kind;
    std::int64_t step;
    std::size_t index;
  };
  struct Reader {  // what a thread keeps from ticket to ticket
    Reader(const Dataset& dataset, const Augmentation* augmentation, std::int64_t most_rows)
        : workspace(dataset, augmentation, most_rows) {}
    ShardWorkspace workspace;
    std::optional<RowBlock> scratch;  // of shares
    EpochOrder order;
    std::int64_t epoch = -1;
  };

  Cell& cell_of(std::int64_t step, std::size_t index) {
    return *cells_[static_cast<std::size_t>(step % ring_) * in_use_.size() + index];
  }
  Shares& shares_of(std::int64_t step) { return *shares_[static_cast<std::size_t>(step % ring_)]; }
  bool unpacks() const { return !shares_.empty(); }
  std::size_t parts() const { return unpacks() ? readers_.size() : in_use_.size(); }
  ShardPlace place(std::int64_t step, std::size_t index) const {
    return place_of(options_.plan, step, options_.shards[index]);
  }
  const EpochOrder& order_of(const ShardPlace& place, Reader& reader);

  void read_ahead(Reader& reader);
  std::optional<Ticket> next_ticket();
  bool all_begun() const { return options_.last_step != 0 && next_step_ >= options_.last_step; }
  bool has_room() const;
  void read_shard(const Ticket& ticket, Reader& reader);
  void read_share(const Ticket& ticket, Reader& reader);

  const std::int64_t ring_;  // steps
  std::mutex mutex_;
  std::condition_variable room_;
  std::vector<std::unique_ptr<Cell>> cells_;     // (ring, shards)
  std::vector<std::unique_ptr<Shares>> shares_;  // (ring), or none
  std::vector<std::int64_t> in_use_;             // the step that each shard's worker has
  std::deque<Ticket> ready_;                     // shards whose step's shares are all read
  std::int64_t next_step_;                       // to begin
  std::size_t next_part_ = 0;
  std::size_t shares_in_work_ = 0;
  bool stopping_ = false;
  std::vector<std::unique_ptr<Reader>> readers_;
  std::vector<std::thread> threads_;
};

}  // namespace lockstep
