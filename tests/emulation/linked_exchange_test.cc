// The exchange from device to device over NCCL's twin, with ranks as threads that each have an
// emulated GPU, whose memory the host cannot touch: the bits of the tree from its definition, over
// several steps, for any number of ranks, whichever stream is first.
#include "runtime/communication/linked_exchange.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/emulation/emulated_ranks.h"
#include "tests/emulation/machine.h"
#include "tests/runtime/exchange_steps.h"

namespace lockstep {
namespace {

using emulation::EmulatedRank;
using emulation::Streams;
using testing::Reference;
using testing::StepsCase;

void expect_right(const StepsCase& test) {
  SCOPED_TRACE(text_of(test));
  emulation::options().seed = test.seed;
  const Reference reference(test);
  emulation::on_emulated_ranks(
      static_cast<int>(test.workers.size()), 30, [&](const EmulatedRank& r) {
        const auto stream = r.gpu.make_stream(0);
        const auto exchange = make_linked_exchange(r.communicator, r.link, testing::plan_of(test),
                                                   ShardPlan(test.shards, test.workers), r.gpu);
        EXPECT_EQ(testing::run_rank(test, reference, r.rank,
                                    [&] { return r.communicator.announce_failure(); }, *exchange,
                                    {r.gpu, *stream}),
                  "")
            << "rank " << r.rank;
      });
}

class LinkedExchanges : public ::testing::TestWithParam<Streams> {
 protected:
  void SetUp() override { emulation::set_streams(GetParam()); }
  void TearDown() override { emulation::set_streams(Streams::kAtOnce); }
  std::mt19937 random_{std::random_device{}()};
};
INSTANTIATE_TEST_SUITE_P(Modes, LinkedExchanges,
                         ::testing::Values(Streams::kAtOnce, Streams::kInterleaved),
                         [](const auto& info) {
                           return info.param == Streams::kAtOnce ? "AtOnce" : "Interleaved";
                         });

TEST_P(LinkedExchanges, AnyShardsAndRanksGiveTheBitsOfTheTree) {
  constexpr std::int64_t kElements[] = {1, 77, 4095, 4096, 4097, 9001, 12289, 40000};
  for (const std::int64_t shards : {1, 2, 4, 8})
    for (const int ranks : {1, 2, 3, 4}) {
      if (ranks > shards) continue;
      StepsCase test;
      test.shards = shards;
      test.workers.assign(static_cast<std::size_t>(ranks), 1);
      test.elements = kElements[random_() % std::size(kElements)];
      test.bucket_blocks = 1 + static_cast<std::int64_t>(random_() % 3);
      test.norms = random_() % 2;
      test.seed = random_();
      expect_right(test);
    }
}

// Also buckets whose last slices reach beyond the end, and ranks that own nothing.
TEST_P(LinkedExchanges, AnyElementCountAndBuckets) {
  for (const int ranks : {2, 3, 4})
    for (const std::int64_t elements : {1, 4096, 4097, 8193, 50001}) {
      StepsCase test;
      test.shards = 4;
      test.workers.assign(static_cast<std::size_t>(ranks), 1);
      test.elements = elements;
      test.bucket_blocks = 1 + static_cast<std::int64_t>(random_() % 9);
      test.norms = elements % 2;
      test.steps = 2;
      test.seed = random_();
      expect_right(test);
    }
}

TEST_P(LinkedExchanges, ManySteps) {
  StepsCase test;
  test.shards = 8;
  test.workers = {1, 1, 1};
  test.elements = 9000;
  test.norms = true;
  test.steps = 30;
  test.first_step = 1000;  // as after a resume
  test.seed = random_();
  expect_right(test);
}

// Of small integers, which bfloat16 holds, too.
TEST_P(LinkedExchanges, SumsInNoOrderOfOurs) {
  for (const PlanReduction reduction : {PlanReduction::kFast, PlanReduction::kFastBFloat16})
    for (const int ranks : {1, 2, 3, 4}) {
      StepsCase test;
      test.shards = 4;
      test.workers.assign(static_cast<std::size_t>(ranks), 1);
      test.elements = ranks % 2 == 0 ? 9001 : 4096 + 13;
      test.bucket_blocks = 2;
      test.norms = ranks == 3;
      test.reduction = reduction;
      test.seed = random_();
      expect_right(test);
    }
}

// 256 + 1 is 256 in bfloat16, however often: float32 sums reach 258.
TEST_P(LinkedExchanges, BFloat16IsAddedUpInFloat32) {
  constexpr float kGradients[] = {256, 1, 1, 0};
  StepsCase test;
  test.shards = 4;
  test.workers = {1, 1, 1, 1};
  test.elements = kBlockElements + 7;
  test.reduction = PlanReduction::kFastBFloat16;
  emulation::on_emulated_ranks(4, 30, [&](const EmulatedRank& r) {
    const auto stream = r.gpu.make_stream(0);
    const ExchangePlan plan = testing::plan_of(test);
    const auto exchange = make_linked_exchange(r.communicator, r.link, plan,
                                               ShardPlan(test.shards, test.workers), r.gpu);
    exchange->attach(0, *stream);
    exchange->begin(0, 0);
    Tensor gradient = r.gpu.borrow(exchange->node(0, 0), {test.elements});
    r.gpu.fill(*stream, kGradients[r.rank], gradient);
    for (int b = 0; b < std::ssize(plan.buckets); ++b) exchange->publish(0, b);
    for (int b = 0; b < std::ssize(plan.buckets); ++b) {
      exchange->collect(0, b);
      const std::int64_t count = exchange->slice(0, b).count();
      const std::vector<float> sum =
          testing::StepsMemory(r.gpu, *stream).read(exchange->sum_target(0, b), count);
      EXPECT_EQ(sum, std::vector<float>(static_cast<std::size_t>(count), 258.0f));
      exchange->deliver(0, b);
    }
    exchange->finish(0);
    stream->synchronize();
  });
}

}  // namespace
}  // namespace lockstep
