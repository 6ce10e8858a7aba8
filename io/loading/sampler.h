// The order of samples: a keyed permutation of [0, rows) for every epoch, a pure function of
// (seed, epoch); and how a global batch is cut into V virtual shards.
#pragma once

#include <cstdint>
#include <vector>

namespace lockstep {

// Rows of an epoch in the order in which training reads them. A Fisher-Yates shuffle whose numbers
// are Philox words keyed by (seed, epoch); the same on any machine.
std::vector<std::int64_t> epoch_order(std::uint64_t seed, std::int64_t epoch, std::int64_t rows);

struct BatchPlan {
  std::int64_t rows = 0;    // of the split
  std::int64_t batch = 0;   // global
  std::int64_t shards = 1;  // V, a power of two
  bool drop_last = false;

  std::int64_t steps_per_epoch() const;
  std::int64_t batch_rows(std::int64_t step_in_epoch) const;  // the last batch may be short
  // Rows [begin, end) of the batch that shard v holds: [B·v/V, B·(v+1)/V). May be empty.
  struct Range {
    std::int64_t begin, end;
  };
  Range shard_rows(std::int64_t step_in_epoch, std::int64_t shard) const;
  std::int64_t max_shard_rows() const;
};

}  // namespace lockstep
