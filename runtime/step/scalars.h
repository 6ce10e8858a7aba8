// The doubles that every shard contributes to a step beside its gradient: one cache line.
#pragma once

#include <array>
#include <cstdint>
#include <span>

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

// The sums over shards in V order through the fixed tree; `stop` is the largest.
ShardScalars total_scalars(std::span<const ShardScalars> shards);

}  // namespace lockstep
