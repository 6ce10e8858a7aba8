// Loader: hands a worker the rows of one shard of one step, augmented. Resident data are gathered
// by the worker itself (a copy of a few rows); others are read ahead by reader threads into a
// double buffer. What comes out is a pure function of (dataset, seed, plan, augmentation, epoch,
// step, shard).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "io/dataset/dataset.h"
#include "io/loading/sampler.h"

namespace lockstep {

class Augmentation;

struct ShardBatch {     // host tensors whose first axis is the number of rows, which may be 0
  Tensor x, y, weight;  // x in the file's type; weight undefined where the data have none
  Tensor sample_ids;    // int64: the rows' places in the split, or in its copies one after another
  std::int64_t rows = 0;
};

struct LoaderOptions {
  BatchPlan plan;  // of the dataset's rows, or of several copies of them
  std::uint64_t seed = 0;
  bool shuffle = true;                               // false: file order (evaluation)
  std::shared_ptr<const Augmentation> augmentation;  // null: rows as they are stored
  std::vector<std::int64_t> shards;  // those that this rank's workers will ask for, ascending
  bool resident = false;             // the dataset is in memory: no reader threads
  int reader_threads = 1;
  int look_ahead = 2;           // steps
  std::int64_t first_step = 0;  // global step from which reading ahead starts
  std::int64_t last_step = 0;   // exclusive; 0: no end known
};

class Loader {
 public:
  static std::unique_ptr<Loader> make(std::shared_ptr<const Dataset> dataset,
                                      const LoaderOptions& options);
  virtual ~Loader() = default;
  // The rows of `shard` in global step `step` (epoch = step / steps_per_epoch). Every shard of
  // options.shards is asked for once a step, steps ascending; workers call concurrently for
  // different shards. The tensors stay valid until the next call for the same shard. Rethrows a
  // reader's error.
  virtual const ShardBatch& fetch(std::int64_t step, std::int64_t shard) = 0;
};

}  // namespace lockstep
