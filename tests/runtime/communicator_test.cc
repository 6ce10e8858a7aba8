// Communicator with ranks as threads: collectives, node memory, failures and late ranks.
#include "runtime/communication/communicator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "runtime/communication/node_segment.h"
#include "tests/runtime/collective_checks.h"
#include "tests/runtime/rank_threads.h"

namespace lockstep {
namespace {

using testing::on_ranks;

class ThreadRanks : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Ranks, ThreadRanks, ::testing::Values(1, 2, 3, 5, 8));

TEST_P(ThreadRanks, CollectivesGiveTheClosedForm) {
  on_ranks(GetParam(), [](Communicator& c) { EXPECT_NO_THROW(testing::check_collectives(c)); });
}

TEST_P(ThreadRanks, NodeMemoryIsOneCopy) {
  on_ranks(GetParam(), [](Communicator& c) { EXPECT_NO_THROW(testing::check_node_memory(c)); });
}

TEST(SelfCommunicator, IsOneRank) {
  const auto communicator = make_self_communicator();
  EXPECT_EQ(communicator->size(), 1);
  EXPECT_EQ(communicator->description(), "1 rank");
  EXPECT_NO_THROW(testing::check_collectives(*communicator));
  EXPECT_NO_THROW(testing::check_node_memory(*communicator));
}

TEST(ThreadCommunicator, AFailureEndsTheOthersWaits) {
  std::atomic<int> first = 0, ended = 0;
  on_ranks(3, [&](Communicator& c) {
    if (c.rank() == 1) {
      first += c.announce_failure();
      first += c.announce_failure();
      return;
    }
    EXPECT_THROW(c.barrier(), PeerFailed);
    first += c.announce_failure();
    ++ended;
  });
  EXPECT_EQ(first, 1);
  EXPECT_EQ(ended, 2);
}

TEST(ThreadCommunicator, ALateRankIsNamed) {
  on_ranks(3, [&](Communicator& c) {
    if (c.rank() == 2) return;
    c.set_patience(0.05);
    try {
      c.barrier();
      ADD_FAILURE() << "nobody missed rank 2";
    } catch (const Error& error) {
      // A busy machine may hold up the other one too.
      EXPECT_THAT(error.what(), ::testing::ContainsRegex("^ranks? ([01], )?2 ha(s|ve) not"));
    }
  });
}

TEST(NodeSegment, IsSharedWithWhoOpensItsAddress) {
  NodeSegment leader = NodeSegment::create(100000);
  NodeSegment other = NodeSegment::open(leader.address());
  ASSERT_EQ(other.bytes(), 100000u);
  other.reserve(0, 100000);
  ASSERT_NE(other.data(), leader.data());
  leader.data()[99999] = std::byte{42};
  EXPECT_EQ(other.data()[99999], std::byte{42});
  EXPECT_EQ(other.data()[0], std::byte{0});
}

TEST(NodeSegment, AStrangersFileIsRefused) {
  NodeSegment leader = NodeSegment::create(1000);
  const NodeSegment stranger = NodeSegment::create(1000);
  const std::string token = leader.address().substr(0, leader.address().find(' '));
  const std::string path = stranger.address().substr(stranger.address().find(' '));
  EXPECT_THROW(NodeSegment::open(token + path), Error);
  const std::string address = leader.address();
  leader.close_file();
  EXPECT_THROW(NodeSegment::open(address), Error);
}

}  // namespace
}  // namespace lockstep
