// ShardBuffer: the rows of one shard of one step in memory that is used again and again, read from
// the dataset and augmented.
#pragma once

#include <memory>
#include <optional>

#include "io/augment/augmentation.h"
#include "io/dataset/row_source.h"
#include "io/loading/epoch_orders.h"
#include "io/loading/loader.h"

namespace lockstep {

// A place in the order of samples: `rows` of them from `begin` on in epoch `epoch`.
struct ShardPlace {
  std::int64_t epoch, step, shard, begin, rows;
};

ShardPlace place_of(const BatchPlan& plan, std::int64_t step, std::int64_t shard);

// What a thread needs to fill buffers one after another: rows as they are stored, rows that are not
// mixed yet.
class ShardWorkspace {
 public:
  ShardWorkspace(const Dataset& dataset, const Augmentation* augmentation, std::int64_t most_rows);

 private:
  friend class ShardBuffer;
  std::vector<std::int64_t> rows_;  // places in the dataset
  std::optional<RowBlock> stored_;
  Tensor plain_;  // where rows are transformed and then mixed
  AugmentWorkspace scratch_;
};

class ShardBuffer {
 public:
  // `augmentation` may be null, and must live as long as this.
  ShardBuffer(const Dataset& dataset, const Augmentation* augmentation, std::int64_t most_rows);

  // `order` is null for file order.
  void fill(const Dataset& dataset, const EpochOrder& order, const ShardPlace& place,
            ShardWorkspace& workspace);
  // The same from rows that were read before and live as long as the batch is used: what nothing
  // changes is not copied, what is augmented is written over.
  void fill(const RowBlock& stored, const EpochOrder& order, const ShardPlace& place,
            ShardWorkspace& workspace);

  const ShardBatch& batch() const { return batch_; }

 private:
  void resize(std::int64_t rows);
  void name_rows(const EpochOrder& order, const ShardPlace& place);
  bool mixes() const { return augmentation_ != nullptr && augmentation_->mixes(); }
  void augment(const RowBlock& stored, const ShardPlace& place, ShardWorkspace& workspace);

  const Augmentation* augmentation_;
  Tensor sample_ids_, x_, y_, weight_;  // for the largest shard
  ShardBatch batch_;
};

}  // namespace lockstep
