// The doubles that every shard contributes to a step beside its gradient: one cache line.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "kernels/core/tensor.h"

namespace lockstep {

struct ShardScalars {
  double loss = 0;    // Σ weight · loss
  double weight = 0;  // Σ weight: what the gradient is divided by
  double rows = 0;
  std::array<double, 4> metrics{};  // the loss's own sums, see Loss::metrics
  double stop = 0;                  // > 0: the shard's rank was asked to stop
};
inline constexpr int kShardScalars = sizeof(ShardScalars) / sizeof(double);
static_assert(kShardScalars == 8);

// Elements of the float64 sums that a loss fills.
inline constexpr std::int64_t kLossSums = 2;    // Σ weight · loss, Σ weight
inline constexpr std::int64_t kMetricSums = 4;  // the loss's own; see Loss::metrics()

// Of a shard: `sums` are those of its loss and behind them of its metrics, on the host; the loss is
// multiplied by `scale`.
ShardScalars shard_scalars(const Tensor& sums, double scale, std::int64_t rows);

// The sums over shards in V order through the fixed tree; `stop` is the largest.
ShardScalars total_scalars(std::span<const ShardScalars> shards);

}  // namespace lockstep
