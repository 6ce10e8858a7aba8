#include "runtime/step/warm_up.h"

#include <algorithm>
#include <functional>
#include <set>

namespace lockstep {

namespace {

Tensor zeros(const Shape& shape, DType type) {
  const Tensor tensor = host_tensor(shape, type);
  std::fill_n(tensor.raw(), tensor.bytes(), std::byte{0});
  return tensor;
}

// Rows of zeros, which every type of data may hold: dark pixels, the first id, the first class.
ShardBatch stand_in(const WarmUp& data, std::int64_t rows) {
  ShardBatch batch;
  batch.rows = rows;
  batch.x = zeros(data.sample.with_rows(rows), data.x_type);
  batch.y = data.target == TargetKind::kValues ? zeros({rows, data.target_columns}, DType::kFloat32)
                                               : zeros({rows}, DType::kInt64);
  if (data.weights) batch.weight = zeros({rows}, DType::kFloat32);
  batch.sample_ids = zeros({rows}, DType::kInt64);
  return batch;
}

template <typename Run>
void for_sizes(const std::vector<std::int64_t>& sizes, const char* pass, const Run& run) {
  for (const std::int64_t rows : sizes) {
    try {
      run(rows);
    } catch (const Error& error) {
      throw Error("before the first step, {} of a shard of {} rows: {}", pass, rows, error.what());
    }
  }
}

}  // namespace

std::vector<std::int64_t> shard_sizes(const BatchPlan& plan) {
  std::set<std::int64_t, std::greater<>> sizes;
  if (plan.steps_per_epoch() == 0) return {};
  for (const std::int64_t step : {std::int64_t{0}, plan.steps_per_epoch() - 1})
    for (std::int64_t shard = 0; shard < plan.shards; ++shard) {
      const BatchPlan::Range rows = plan.shard_rows(step, shard);
      if (rows.end > rows.begin) sizes.insert(rows.end - rows.begin);
    }
  return {sizes.begin(), sizes.end()};
}

void warm_up_training(Replica& replica, const WarmUp& sizes, std::int64_t weights_version) {
  for_sizes(sizes.training, "training",
            [&](std::int64_t rows) { replica.warm_up(rows, weights_version); });
}

void warm_up_evaluation(Replica& replica, const WarmUp& sizes, std::int64_t weights_version) {
  for_sizes(sizes.evaluation, "evaluation", [&](std::int64_t rows) {
    ShardScalars unused;
    replica.evaluate_shard(stand_in(sizes, rows), weights_version, unused);
  });
}

}  // namespace lockstep
