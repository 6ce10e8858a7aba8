// Memory plan: how many worker threads of a rank the memory holds. A shard's activations are what
// grows: fewer workers run more of the shards one after another, and add their gradients up as the
// tree says, so that the bits stay. What a worker needs is reckoned before anything is allocated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "runtime/communication/shard_plan.h"
#include "runtime/step/replica.h"

namespace lockstep {

struct ReplicaMemory {
  double fixed = 0, per_row = 0;  // bytes of buffers: whatever the rows, and for each
  double flat = 0;                // bytes of the weights, and of a gradient
  double packed = 0;              // bytes of second copies of weights, which replicas share
  double bytes(std::int64_t rows) const { return fixed + per_row * static_cast<double>(rows); }
};

// From two replicas, of one row and of two.
ReplicaMemory measure_replica(const Blueprint& blueprint, Backend& backend);

struct MemoryQuestion {
  ReplicaMemory replica;
  double allowed = 0;  // bytes for all ranks of this node
  double taken = 0;    // of those, by the data: in memory, or the chunks that each rank unpacked
  int local_ranks = 1;
  int ranks = 1, rank = 0;  // of the job: which shards are this rank's
  std::int64_t shards = 1, batch = 1;
  int states = 0;          // flat arrays of the optimizer
  int flat_sharers = 1;    // ranks that hold weights and optimizer state together
  int packed_sharers = 1;  // ranks that hold packed weights together
  bool trains = true;
};

struct MemoryAnswer {
  int threads = 1;
  std::string note;  // one line where fewer than wanted run; else empty
};

// As many of `threads` as fit. Throws Error where not one does, naming the smallest run.shards with
// which one would.
MemoryAnswer fit_threads(const MemoryQuestion& question, int threads);

std::string memory_text(double bytes);  // "1.5 GiB"

}  // namespace lockstep
