// Warm-up: what a training will ask of its device, asked before the first step: a pass over each
// number of rows that a shard may have, in training and in evaluation, with rows that stand for
// the data. After it libraries have planned all their work, and every workspace is there.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/step/replica.h"

namespace lockstep {

struct WarmUp {
  std::vector<std::int64_t> training, evaluation;  // rows of a shard
  // What evaluation sees, which is not always what training does.
  Shape sample;
  DType x_type = DType::kFloat32;
  TargetKind target = TargetKind::kNone;
  std::int64_t target_columns = 1;
  bool weights = false;  // of rows
};

// The sizes that shards have in a plan's batches, the largest first; without 0.
std::vector<std::int64_t> shard_sizes(const BatchPlan& plan);

// On a replica whose values are bound, and in training gradients too: what these hold is
// overwritten. Throws Error, which names the size, where a library has no plan for it.
void warm_up_training(Replica& replica, const WarmUp& sizes, std::int64_t weights_version);
void warm_up_evaluation(Replica& replica, const WarmUp& sizes, std::int64_t weights_version);

}  // namespace lockstep
