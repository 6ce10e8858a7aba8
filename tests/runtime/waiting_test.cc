// Counters that sleep: no wake-up is lost, between threads and between processes.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "runtime/communication/node_segment.h"
#include "runtime/communication/waiter.h"

namespace lockstep {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::uint32_t kRounds = 2000;
// One lost wake-up costs this much, far more than all rounds together, on a busy machine too.
constexpr auto kLimit = std::chrono::seconds(300);

// Two sides raise one counter each in turns, always asleep while the other works.
void take_turns(StepCounter& own, StepCounter& other, bool first, std::uint32_t start) {
  for (std::uint32_t round = 1; round <= kRounds; ++round) {
    if (first) own.publish(start + round);
    while (!other.reached(start + round)) other.sleep(start + round, kLimit);
    if (!first) own.publish(start + round);
  }
}

TEST(StepCounter, WakesThreadsAcrossTheWrapAround) {
  StepCounter one, two;
  const std::uint32_t start = 0u - kRounds / 2;  // passes zero half-way
  one.publish(start);
  two.publish(start);
  const auto begin = Clock::now();
  std::thread other([&] { take_turns(two, one, false, start); });
  take_turns(one, two, true, start);
  other.join();
  EXPECT_LT(Clock::now() - begin, kLimit);
}

TEST(StepCounter, WakesAnotherProcess) {
  const NodeSegment segment = NodeSegment::create(2 * sizeof(StepCounter));
  auto* counters = reinterpret_cast<StepCounter*>(segment.data());
  const auto begin = Clock::now();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    take_turns(counters[1], counters[0], false, 0);
    _exit(0);
  }
  take_turns(counters[0], counters[1], true, 0);
  int status = 1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_LT(Clock::now() - begin, kLimit);
}

TEST(Waiter, EndsForAFailureAndForLackOfPatience) {
  FailureFlag failure;
  StepCounter counter;
  counter.publish(4);
  const Waiter waiter(failure, 0.02, false);
  EXPECT_TRUE(waiter.wait(counter, 4));
  EXPECT_TRUE(waiter.wait(counter, 3));
  EXPECT_FALSE(waiter.wait(counter, 5));
  EXPECT_TRUE(failure.raise());
  EXPECT_FALSE(failure.raise());
  EXPECT_THROW(waiter.wait(counter, 5), PeerFailed);
  EXPECT_TRUE(waiter.wait(counter, 4));  // what has arrived needs no waiting
}

// Ranks 7, 5 and 6 of a job share a node; rank 6 is stopped.
TEST(WaitBoard, WhoWaitsIsNoCulprit) {
  std::array<WaitBoard::Sign, 3> signs;
  const std::vector<int> names = {7, 5, 6};
  const WaitBoard first(signs.data(), names, 0), second(signs.data(), names, 1);
  constexpr double kPatience = 1000;
  EXPECT_EQ(first.culprits({6, 5, 6}, kPatience), (std::vector<int>{5, 6})) << "nobody has signed";
  second.sign();
  EXPECT_EQ(first.culprits({6, 5}, kPatience), std::vector<int>{6});
  EXPECT_EQ(first.culprits({5}, kPatience), std::vector<int>{5}) << "all that are late wait";
  EXPECT_EQ(first.culprits({9, 5, 6}, kPatience), (std::vector<int>{6, 9})) << "9: another node's";
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_EQ(first.culprits({6, 5}, 0.04), (std::vector<int>{5, 6})) << "an old sign";
}

TEST(WaitBoard, WaitersSignForOtherRanks) {
  FailureFlag failure;
  StepCounter counter;
  std::array<WaitBoard::Sign, 2> signs;
  const WaitBoard board(signs.data(), {0, 1}, 1);
  const Waiter waiter(failure, 0.02, false, &board);
  EXPECT_FALSE(waiter.wait(counter, 1, false));
  EXPECT_EQ(signs[1].last, 0) << "a worker of its own is no other rank";
  EXPECT_FALSE(waiter.wait(counter, 1, true));
  EXPECT_NE(signs[1].last, 0);
  EXPECT_EQ(signs[0].last, 0);
}

TEST(LateError, NamesEachRankOnce) {
  EXPECT_EQ(std::string(late_error({3, 1, 3}, "finished the gradients", 57, 300).what())
                .find("ranks 1, 3 have not finished the gradients of step 57 for 300 s"),
            0u);
  EXPECT_EQ(std::string(late_error({0}, "loaded the weights", -1, 0.5).what())
                .find("rank 0 has not loaded the weights for 0.5 s"),
            0u);
}

}  // namespace
}  // namespace lockstep
