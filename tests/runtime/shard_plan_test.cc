// The cut of shards over ranks and workers, and the canonical subtrees of any range.
#include "runtime/communication/shard_plan.h"

#include <gtest/gtest.h>

#include "kernels/core/error.h"

namespace lockstep {
namespace {

TEST(ShardPlan, RanksAndWorkersCoverAllShardsInOrder) {
  for (std::int64_t shards : {1, 2, 4, 8, 16, 64}) {
    for (int ranks = 1; ranks <= std::min<std::int64_t>(shards, 9); ++ranks) {
      std::vector<int> workers;
      for (int r = 0; r < ranks; ++r) workers.push_back(1 + r % 3);
      const ShardPlan plan(shards, workers);
      std::int64_t next = 0;
      int total = 0;
      for (int r = 0; r < ranks; ++r) {
        EXPECT_EQ(plan.of_rank(r).begin, next);
        EXPECT_GE(plan.of_rank(r).count(), shards / ranks);
        EXPECT_LE(plan.of_rank(r).count(), (shards + ranks - 1) / ranks);
        EXPECT_EQ(plan.first_worker(r), total);
        for (int w = 0; w < plan.workers(r); ++w) {
          EXPECT_EQ(plan.of_worker(r, w).begin, next);
          next = plan.of_worker(r, w).end;
        }
        EXPECT_EQ(next, plan.of_rank(r).end);
        total += plan.workers(r);
      }
      EXPECT_EQ(next, shards);
      EXPECT_EQ(plan.total_workers(), total);
    }
  }
}

TEST(ShardPlan, MoreWorkersThanShardsLeaveSomeEmpty) {
  const ShardPlan plan(2, {3});
  std::int64_t filled = 0;
  for (int w = 0; w < 3; ++w) filled += plan.of_worker(0, w).count() > 0;
  EXPECT_EQ(filled, 2);
}

TEST(ShardPlan, MoreRanksThanShardsNamesTheKey) {
  try {
    ShardPlan(2, {1, 1, 1});
    FAIL() << "3 ranks on 2 shards";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("run.shards to 4"), std::string::npos) << error.what();
  }
}

TEST(CanonicalSubtrees, AreTheLargestAlignedOnesThatFit) {
  for (std::int64_t begin = 0; begin < 40; ++begin) {
    for (std::int64_t end = begin; end < 40; ++end) {
      // From the left: the largest aligned power of two that stays inside.
      std::int64_t at = begin;
      for (const Subtree& subtree : canonical_subtrees({begin, end})) {
        std::int64_t size = 1;
        while (at % (2 * size) == 0 && at + 2 * size <= end) size *= 2;
        ASSERT_EQ(subtree.begin, at) << begin << " " << end;
        ASSERT_EQ(subtree.shards, size) << begin << " " << end;
        at += size;
      }
      ASSERT_EQ(at, end);
    }
  }
}

TEST(CanonicalSubtrees, DepthIsTheMostTheCounterHolds) {
  EXPECT_EQ(counter_depth({0, 0}), 0);
  EXPECT_EQ(counter_depth({3, 4}), 1);
  EXPECT_EQ(counter_depth({0, 2}), 2);
  EXPECT_EQ(counter_depth({0, 8}), 4);
  EXPECT_EQ(counter_depth({1, 8}), 5);  // {1} {2,3} {4,5} {6} {7} before the last join
}

TEST(AutoShards, LeaveAtLeastTheRowsAsked) {
  EXPECT_EQ(auto_shards(1, 8), 1);
  EXPECT_EQ(auto_shards(2, 8), 2);
  EXPECT_EQ(auto_shards(31, 8), 2);
  EXPECT_EQ(auto_shards(32, 8), 4);
  EXPECT_EQ(auto_shards(63, 8), 4);
  EXPECT_EQ(auto_shards(64, 8), 8);
  EXPECT_EQ(auto_shards(100000, 8), 8);
  EXPECT_EQ(auto_shards(511, 64), 4);
}

}  // namespace
}  // namespace lockstep
