// The order of samples and the cut of a batch: permutations, pure functions, every row once.
#include "io/loading/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>

#include "io/loading/epoch_orders.h"

namespace lockstep {
namespace {

TEST(EpochOrder, IsAPermutation) {
  for (std::int64_t rows : {0, 1, 2, 3, 100, 1797, 60000}) {
    std::vector<std::int64_t> order = epoch_order(1, 2, rows);
    std::sort(order.begin(), order.end());
    ASSERT_EQ(static_cast<std::int64_t>(order.size()), rows);
    for (std::int64_t i = 0; i < rows; ++i) ASSERT_EQ(order[static_cast<std::size_t>(i)], i);
  }
}

// Resumed runs and other machines depend on these orders.
TEST(EpochOrder, NeverChangesBetweenVersions) {
  EXPECT_EQ(epoch_order(1, 0, 10), (std::vector<std::int64_t>{2, 5, 4, 3, 9, 6, 1, 0, 7, 8}));
  EXPECT_EQ(epoch_order(1, 1, 10), (std::vector<std::int64_t>{0, 6, 4, 2, 7, 9, 8, 5, 3, 1}));
  EXPECT_EQ(epoch_order(2, 0, 10), (std::vector<std::int64_t>{5, 0, 1, 4, 3, 9, 8, 2, 6, 7}));
}

TEST(EpochOrder, DependsOnSeedAndEpoch) {
  const auto order = epoch_order(7, 3, 1000);
  EXPECT_EQ(order, epoch_order(7, 3, 1000));
  EXPECT_NE(order, epoch_order(7, 4, 1000));
  EXPECT_NE(order, epoch_order(8, 3, 1000));
  EXPECT_NE(epoch_order(std::uint64_t{1} << 40, 0, 1000), epoch_order(0, 0, 1000));
}

// Each of 5 rows comes first about equally often: chi-squared with 4 degrees of freedom is above
// 23.5 in one run of 10,000.
TEST(EpochOrder, IsUniform) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  constexpr int kEpochs = 20000;
  for (std::size_t position : {0u, 2u, 4u}) {
    std::array<double, 5> counts{};
    for (int epoch = 0; epoch < kEpochs; ++epoch)
      counts[static_cast<std::size_t>(epoch_order(seed, epoch, 5)[position])] += 1;
    double chi_squared = 0;
    for (double count : counts)
      chi_squared += (count - kEpochs / 5.0) * (count - kEpochs / 5.0) / (kEpochs / 5.0);
    EXPECT_LT(chi_squared, 23.5) << "position " << position;
  }
}

TEST(EpochOrders, GiveTheOrdersOfTheSampler) {
  EpochOrders orders(5, 300, 4);
  for (std::int64_t epoch : {0, 0, 1, 0, 2, 3, 1})
    EXPECT_EQ(*orders.get(epoch), epoch_order(5, epoch, 300)) << epoch;
}

TEST(BatchPlan, EveryRowIsInOneShardOfOneStep) {
  for (std::int64_t rows : {1, 7, 100, 257})
    for (std::int64_t batch : {1, 3, 8, 100, 300})
      for (std::int64_t shards : {1, 2, 8})
        for (bool drop_last : {false, true}) {
          const BatchPlan plan{rows, batch, shards, drop_last};
          std::int64_t next = 0;
          for (std::int64_t step = 0; step < plan.steps_per_epoch(); ++step) {
            std::int64_t at = 0, least = batch, most = 0;
            for (std::int64_t shard = 0; shard < shards; ++shard) {
              const BatchPlan::Range range = plan.shard_rows(step, shard);
              ASSERT_EQ(range.begin, at);
              at = range.end;
              least = std::min(least, range.end - range.begin);
              most = std::max(most, range.end - range.begin);
            }
            ASSERT_EQ(at, plan.batch_rows(step));
            ASSERT_LE(most - least, 1);
            ASSERT_LE(most, plan.max_shard_rows());
            next += at;
          }
          ASSERT_EQ(next, drop_last ? rows / batch * batch : rows);
        }
}

}  // namespace
}  // namespace lockstep
