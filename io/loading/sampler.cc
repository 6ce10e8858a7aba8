#include "io/loading/sampler.h"

#include <algorithm>
#include <numeric>

#include "kernels/core/philox.h"

namespace lockstep {

namespace {

// The upper 64 bits of a · b, without a 128-bit type.
std::uint64_t upper_half(std::uint64_t a, std::uint64_t b) {
  const std::uint64_t a0 = a & 0xFFFFFFFF, a1 = a >> 32, b0 = b & 0xFFFFFFFF, b1 = b >> 32;
  const std::uint64_t middle = a1 * b0 + (a0 * b0 >> 32);
  return a1 * b1 + (middle >> 32) + ((a0 * b1 + (middle & 0xFFFFFFFF)) >> 32);
}

}  // namespace

std::vector<std::int64_t> epoch_order(std::uint64_t seed, std::int64_t epoch, std::int64_t rows) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(rows));
  std::iota(order.begin(), order.end(), 0);
  const RandomKey key{seed, RandomPurpose::kSampleOrder, 0, static_cast<std::uint64_t>(epoch)};
  for (std::int64_t i = rows - 1; i > 0; --i) {
    const auto place = static_cast<std::uint64_t>(i);
    const PhiloxBlock words = key.block(place, 0);
    const std::uint64_t random = std::uint64_t{words[1]} << 32 | words[0];
    // The product's upper half is uniform on [0, i] up to 2^-64 · rows.
    const auto j = static_cast<std::int64_t>(upper_half(random, place + 1));
    std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(j)]);
  }
  return order;
}

std::int64_t BatchPlan::steps_per_epoch() const {
  return drop_last ? rows / batch : (rows + batch - 1) / batch;
}

std::int64_t BatchPlan::batch_rows(std::int64_t step_in_epoch) const {
  return std::min(batch, rows - step_in_epoch * batch);
}

BatchPlan::Range BatchPlan::shard_rows(std::int64_t step_in_epoch, std::int64_t shard) const {
  const std::int64_t count = batch_rows(step_in_epoch);
  return {count * shard / shards, count * (shard + 1) / shards};
}

std::int64_t BatchPlan::max_shard_rows() const {
  return (std::min(batch, rows) + shards - 1) / shards;
}

}  // namespace lockstep
