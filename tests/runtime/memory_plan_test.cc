// How many workers the memory holds, and what is said where not one fits.
#include "runtime/run/memory_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lockstep {
namespace {

using ::testing::HasSubstr;
constexpr double kMiB = 1 << 20;

// One worker needs 16 MiB for its 8 rows and 1 MiB a gradient; weights and two states 3 MiB.
MemoryQuestion question() {
  MemoryQuestion question;
  question.replica = {0, 2 * kMiB, kMiB};
  question.allowed = 1000 * kMiB;
  question.shards = 8;
  question.batch = 64;
  question.states = 2;
  return question;
}

TEST(MemoryPlan, AllRunWhereTheyFit) {
  const MemoryAnswer answer = fit_threads(question(), 8);
  EXPECT_EQ(answer.threads, 8);
  EXPECT_EQ(answer.note, "");
}

TEST(MemoryPlan, FewerRunWhereTheyDoNot) {
  MemoryQuestion tight = question();
  // 4 workers: 4 · 16 + 4 · 2 (two shards each: two gradients at a time) + 3 = 75.
  tight.allowed = 75 * kMiB / 0.9 + 1;
  const MemoryAnswer answer = fit_threads(tight, 8);
  EXPECT_EQ(answer.threads, 4);
  EXPECT_THAT(answer.note, HasSubstr("4 of 8 worker threads run"));
  tight.allowed = 75 * kMiB / 0.9 - 1000;
  EXPECT_EQ(fit_threads(tight, 8).threads, 3);
}

TEST(MemoryPlan, RanksOfANodeShareItAndSoDoTheData) {
  MemoryQuestion tight = question();
  tight.allowed = 75 * kMiB / 0.9 + 1;
  tight.taken = 18 * kMiB;
  EXPECT_EQ(fit_threads(tight, 8).threads, 2);  // 2 · 16 + 2 · 3 + 3 = 41 of 57; three need 58
  tight.taken = 0;
  tight.local_ranks = tight.ranks = 2;
  EXPECT_EQ(fit_threads(tight, 8).threads, 1);
}

TEST(MemoryPlan, NamesTheShardsWithWhichOneFits) {
  MemoryQuestion tight = question();
  tight.allowed = 17 * kMiB / 0.9;  // 16 shards: 8 + 3 + 5 (a counter of 16) = 16
  try {
    fit_threads(tight, 4);
    FAIL() << "nothing fits";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("a shard of 8 rows needs"));
    EXPECT_THAT(error.what(), HasSubstr("Set run.shards = 16,"));
  }
  tight.allowed = 5 * kMiB;
  try {
    fit_threads(tight, 4);
    FAIL() << "nothing fits";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("Not even shards of one row fit"));
  }
}

}  // namespace
}  // namespace lockstep
