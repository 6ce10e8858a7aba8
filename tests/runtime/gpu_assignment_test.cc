#include "runtime/run/gpu_assignment.h"

#include <gmock/gmock.h>

#include <set>

namespace lockstep {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Views = std::vector<RankView>;

RankView view(const std::string& host, std::vector<std::string> uuids) {
  return {host, std::move(uuids)};
}

TEST(GpuAssignment, RanksOfANodeTakeItsGpusInOrder) {
  const Views ranks(4, view("a", {"A0", "A1", "A2", "A3"}));
  const GpuAssignment result = assign_gpus(ranks, false);
  EXPECT_THAT(result.device, ElementsAre(0, 1, 2, 3));
  EXPECT_FALSE(result.shared);
  EXPECT_EQ(result.why_not, "");
}

TEST(GpuAssignment, EveryNodeCountsFromItsFirstGpu) {
  Views ranks(2, view("a", {"A0", "A1"}));
  ranks.insert(ranks.end(), 3, view("b", {"B0", "B1", "B2"}));
  EXPECT_THAT(assign_gpus(ranks, false).device, ElementsAre(0, 1, 0, 1, 2));
}

TEST(GpuAssignment, FewerRanksThanGpus) {
  const Views ranks(2, view("a", {"A0", "A1", "A2", "A3"}));
  EXPECT_THAT(assign_gpus(ranks, false).device, ElementsAre(0, 1));
}

TEST(GpuAssignment, RanksWhoseControlGroupsShowOneGpuEach) {
  const Views ranks{view("a", {"A0"}), view("a", {"A1"}), view("b", {"B0"}), view("b", {"B1"})};
  EXPECT_THAT(assign_gpus(ranks, false).device, ElementsAre(0, 0, 0, 0));
}

TEST(GpuAssignment, RanksWhoseControlGroupsShowTheSameGpu) {
  const Views ranks{view("a", {"A0"}), view("a", {"A0"})};
  const GpuAssignment result = assign_gpus(ranks, false);
  EXPECT_TRUE(result.device.empty());
  EXPECT_THAT(result.why_not, HasSubstr("on a 2 ranks see 1 GPU;"));
  EXPECT_THAT(result.why_not, HasSubstr("run.share_gpu"));
}

TEST(GpuAssignment, OrdersOfVisibleDevicesMayDiffer) {
  const Views ranks{view("a", {"A1", "A0"}), view("a", {"A0", "A1"})};
  EXPECT_THAT(assign_gpus(ranks, false).device, ElementsAre(0, 0));
}

// Rank 0 would take A0, the only one that rank 1 sees.
TEST(GpuAssignment, ARankMakesPlaceForOneThatSeesLess) {
  const Views ranks{view("a", {"A0", "A1"}), view("a", {"A0"}), view("a", {"A1", "A2"})};
  EXPECT_THAT(assign_gpus(ranks, false).device, ElementsAre(1, 0, 1));
}

TEST(GpuAssignment, OversubscriptionNeedsLeave) {
  Views ranks(2, view("a", {"A0", "A1"}));
  ranks.insert(ranks.end(), 5, view("b", {"B0", "B1"}));
  EXPECT_THAT(assign_gpus(ranks, false).why_not, HasSubstr("on b 5 ranks see 2 GPUs;"));
  const GpuAssignment shared = assign_gpus(ranks, true);
  EXPECT_THAT(shared.device, ElementsAre(0, 1, 0, 1, 0, 1, 0));
  EXPECT_TRUE(shared.shared);
}

TEST(GpuAssignment, LeaveToShareChangesNothingWhereNoneMust) {
  const Views ranks(3, view("a", {"A0", "A1", "A2"}));
  const GpuAssignment result = assign_gpus(ranks, true);
  EXPECT_THAT(result.device, ElementsAre(0, 1, 2));
  EXPECT_FALSE(result.shared);
}

TEST(GpuAssignment, ARankWithoutGpusIsNamed) {
  const Views ranks{view("a", {"A0"}), view("b", {})};
  EXPECT_EQ(assign_gpus(ranks, true).why_not, "rank 1 on b sees no GPU");
}

// Every order in which three ranks may see subsets of three GPUs: no GPU has two ranks, and none is
// refused where trying all combinations finds a place for each.
TEST(GpuAssignment, FindsAPlaceForAllWhereverThereIsOne) {
  const std::vector<std::string> names{"G0", "G1", "G2"};
  for (int masks = 0; masks < 7 * 7 * 7; ++masks) {
    Views ranks;
    for (const int mask : {masks % 7 + 1, masks / 7 % 7 + 1, masks / 49 + 1}) {
      RankView seen{"a", {}};
      for (int gpu = 0; gpu < 3; ++gpu)
        if (mask >> gpu & 1) seen.uuids.push_back(names[static_cast<std::size_t>(gpu)]);
      ranks.push_back(seen);
    }
    bool possible = false;
    for (const auto& a : ranks[0].uuids)
      for (const auto& b : ranks[1].uuids)
        for (const auto& c : ranks[2].uuids) possible |= std::set{a, b, c}.size() == 3;
    const GpuAssignment result = assign_gpus(ranks, false);
    ASSERT_EQ(result.why_not.empty(), possible) << masks;
    if (!possible) continue;
    std::set<std::string> taken;
    for (std::size_t r = 0; r < 3; ++r)
      taken.insert(ranks[r].uuids[static_cast<std::size_t>(result.device[r])]);
    ASSERT_EQ(taken.size(), 3U) << masks;
  }
}

}  // namespace
}  // namespace lockstep
