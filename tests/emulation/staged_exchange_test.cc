// The exchange of gradients that lie in a GPU's own memory, which the host cannot touch here: every
// bit is that of a serial sum, and no copy runs before what it waits for, whichever stream is
// first.
#include "runtime/communication/staged_exchange.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/emulation/emulated_cases.h"
#include "tests/emulation/machine.h"
#include "tests/emulation/streams.h"
#include "tests/runtime/exchange_steps.h"
#include "tests/runtime/rank_threads.h"

namespace lockstep {
namespace {

using testing::Reference;
using testing::StepsCase;

void expect_right(const StepsCase& test) {
  SCOPED_TRACE(text_of(test));
  const Reference reference(test);
  testing::on_ranks(static_cast<int>(test.workers.size()), [&](Communicator& communicator) {
    const auto backend = cases::emulated_backend();
    const auto stream = backend->make_stream(0);
    const auto exchange = make_training_exchange(communicator, testing::plan_of(test),
                                                 ShardPlan(test.shards, test.workers), *backend);
    EXPECT_NE(exchange->values(), exchange->host_values());
    EXPECT_EQ(
        run_rank(test, reference, communicator.rank(),
                 [&] { return communicator.announce_failure(); }, *exchange, {*backend, *stream}),
        "")
        << "rank " << communicator.rank();
  });
}

class StagedExchangeTest : public ::testing::TestWithParam<emulation::Streams> {
 protected:
  void SetUp() override { emulation::set_streams(GetParam()); }
  void TearDown() override { emulation::set_streams(emulation::Streams::kAtOnce); }
};

TEST_P(StagedExchangeTest, GivesTheBitsOfASerialSum) {
  std::mt19937 random(static_cast<unsigned>(cases::test_seed()));
  for (const int ranks : {1, 2, 3, 4}) {
    for (const std::int64_t elements : {std::int64_t{1}, kBlockElements, 3 * kBlockElements + 5}) {
      StepsCase test;
      test.shards = std::int64_t{4} << random() % 2;
      test.workers.assign(static_cast<std::size_t>(ranks), 1);
      test.elements = elements;
      test.bucket_blocks = static_cast<std::int64_t>(1 + random() % 3);
      test.norms = random() % 2 == 0;
      test.steps = 2;
      test.seed = random();
      emulation::options().seed = test.seed;
      expect_right(test);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Streams, StagedExchangeTest,
                         ::testing::Values(emulation::Streams::kAtOnce,
                                           emulation::Streams::kInterleaved),
                         [](const auto& info) {
                           return info.param == emulation::Streams::kAtOnce ? "AtOnce"
                                                                            : "Interleaved";
                         });

}  // namespace
}  // namespace lockstep
