#include "runtime/step/scalars.h"

#include <algorithm>
#include <vector>

#include "runtime/step/tree.h"

namespace lockstep {

ShardScalars shard_scalars(const Tensor& sums, double scale, std::int64_t rows) {
  const auto* const values = sums.data<double>();
  ShardScalars scalars;
  scalars.loss = scale * values[0];
  scalars.weight = values[1];
  scalars.rows = static_cast<double>(rows);
  static_assert(std::tuple_size_v<decltype(scalars.metrics)> == kMetricSums);
  std::copy_n(values + kLossSums, kMetricSums, scalars.metrics.begin());
  return scalars;
}

ShardScalars total_scalars(std::span<const ShardScalars> shards) {
  std::vector<double> column(shards.size());
  const auto sum = [&](auto field) {
    std::transform(shards.begin(), shards.end(), column.begin(), field);
    return tree_sum(column);
  };
  ShardScalars total;
  total.loss = sum([](const ShardScalars& shard) { return shard.loss; });
  total.weight = sum([](const ShardScalars& shard) { return shard.weight; });
  total.rows = sum([](const ShardScalars& shard) { return shard.rows; });
  for (std::size_t i = 0; i < total.metrics.size(); ++i)
    total.metrics[i] = sum([i](const ShardScalars& shard) { return shard.metrics[i]; });
  for (const ShardScalars& shard : shards) total.stop = std::max(total.stop, shard.stop);
  return total;
}

}  // namespace lockstep
