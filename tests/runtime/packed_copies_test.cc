// Packed copies that ranks share: each is packed once for each version of the weights, everyone
// reads what was packed, and no wait for a failed or stopped packer is for ever.
#include "runtime/step/packed_copies.h"

#include <gtest/gtest.h>

#include <atomic>

#include "kernels/cpu/cpu_backend.h"
#include "tests/error_of.h"
#include "tests/runtime/rank_threads.h"

namespace lockstep {
namespace {

using testing::on_ranks;

constexpr int kRanks = 3, kCopies = 20;
constexpr std::int64_t kShards = 4;
constexpr double kPatience = 300;

// A rank's copies, shared with the others. Their lengths differ, and no page holds them exactly.
struct Rank {
  Rank(Communicator& communicator, double patience_seconds)
      : shards(kShards, std::vector<int>(kRanks, 1)),
        backend(make_cpu_backend(best_isa())),
        copies(communicator, shards) {
    for (std::size_t i = 0; i < kCopies; ++i)
      all.push_back(&copies.at(i, 100 + 700 * static_cast<std::int64_t>(i), *backend));
    copies.share(communicator, shards, patience_seconds, *backend);
  }

  ShardPlan shards;
  std::unique_ptr<Backend> backend;
  PackedCopies copies;
  std::vector<PackedCopy*> all;
};

float content(std::int64_t version, std::size_t copy) {
  return static_cast<float>(version * kCopies + static_cast<std::int64_t>(copy));
}

TEST(PackedCopies, OneRankOfTheNodePacksAndAllRead) {
  constexpr std::int64_t kVersions = 50;
  std::atomic<int> packed = 0, wrong = 0;
  on_ranks(kRanks, [&](Communicator& communicator) {
    Rank rank(communicator, kPatience);
    for (std::int64_t version = 1; version <= kVersions; ++version) {
      const auto packer = [&](std::size_t copy) {
        return [&, copy](Tensor& tensor) {
          std::ranges::fill(tensor.span<float>(), content(version, copy));
          ++packed;
        };
      };
      for (std::size_t i = 0; i < kCopies; ++i) rank.all[i]->refresh_if_free(version, packer(i));
      for (std::size_t i = 0; i < kCopies; ++i)
        for (const float value : rank.all[i]->refreshed(version, packer(i)).span<float>())
          if (value != content(version, i)) ++wrong;
      communicator.barrier();  // as a step's exchange: nobody reads this version any more
    }
  });
  EXPECT_EQ(packed, kVersions * kCopies);
  EXPECT_EQ(wrong, 0);
}

TEST(PackedCopies, ARankThatPacksNothingHoldsUpNobody) {
  std::atomic<int> packed = 0;
  on_ranks(kRanks, [&](Communicator& communicator) {
    Rank rank(communicator, kPatience);
    if (communicator.rank() == 1)
      for (PackedCopy* copy : rank.all) copy->refreshed(7, [&](Tensor&) { ++packed; });
    communicator.barrier();
  });
  EXPECT_EQ(packed, kCopies);
}

// Zeroed memory would count as packed.
TEST(PackedCopies, ThereIsNoVersionZero) {
  on_ranks(kRanks, [&](Communicator& communicator) {
    Rank rank(communicator, kPatience);
    EXPECT_NE(error_of([&] { rank.all[0]->refreshed(0, [](Tensor&) {}); }), "");
  });
}

TEST(PackedCopies, AStoppedPackerIsNamed) {
  std::atomic<bool> stopped = false, told = false;
  on_ranks(kRanks, [&](Communicator& communicator) {
    Rank rank(communicator, 0.05);
    PackedCopy& copy = *rank.all.front();
    if (communicator.rank() == 2) {
      copy.refreshed(1, [&](Tensor&) {
        stopped = true;
        stopped.notify_all();
        told.wait(false);
      });
    } else if (communicator.rank() == 0) {
      stopped.wait(false);
      const std::string message = error_of([&] { copy.refreshed(1, [](Tensor&) {}); });
      EXPECT_EQ(message.find("rank 2 has not packed its share of the weights for 0.05 s"), 0u)
          << message;
      told = true;
      told.notify_all();
    }
    communicator.barrier();
  });
}

TEST(PackedCopies, AFailedPackerEndsTheWait) {
  std::atomic<bool> begun = false;
  on_ranks(kRanks, [&](Communicator& communicator) {
    Rank rank(communicator, kPatience);
    communicator.barrier();  // nobody is inside share() when one fails
    PackedCopy& copy = *rank.all.front();
    if (communicator.rank() == 2) {
      const auto fail = [&](Tensor&) {
        begun = true;
        begun.notify_all();
        communicator.announce_failure();
        throw Error("no memory");
      };
      EXPECT_EQ(error_of([&] { copy.refreshed(1, fail); }), "no memory");
    } else {
      begun.wait(false);
      EXPECT_THROW(copy.refreshed(1, [](Tensor&) {}), PeerFailed);
    }
  });
}

}  // namespace
}  // namespace lockstep
