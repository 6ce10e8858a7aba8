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

// The steps above wait for their stream whenever they look at something; a real step does not. What
// the host is told to read, norms at settle and arrays at gather_states, has been queued and no
// more: of a rank alone, whose weights go nowhere else, nothing else waits for it.
TEST_P(StagedExchangeTest, TheHostSeesWhatHasBeenQueued) {
  std::mt19937 random(static_cast<unsigned>(cases::test_seed()));
  for (const int ranks : {1, 2}) {
    StepsCase test;
    test.shards = 2;
    test.workers.assign(static_cast<std::size_t>(ranks), 1);
    test.elements = 2 * kBlockElements + 5;
    test.seed = emulation::options().seed = random();
    SCOPED_TRACE(text_of(test));
    testing::on_ranks(ranks, [&](Communicator& communicator) {
      const auto backend = cases::emulated_backend();
      const auto stream = backend->make_stream(0);
      const ExchangePlan plan = testing::plan_of(test);
      const auto exchange = make_training_exchange(communicator, plan,
                                                   ShardPlan(test.shards, test.workers), *backend);
      const auto tensor = [&](float* flat, ElementRange range) {
        return backend->borrow(flat + range.begin, {range.count()});
      };
      const ElementRange all{0, test.elements};
      exchange->attach(0, *stream);
      exchange->filled();
      exchange->begin(0, 0);
      Tensor gradient = tensor(exchange->node(0, 0), all);
      backend->fill(*stream, 3, gradient);
      exchange->publish_scalars(0);
      for (int b = 0; b < std::ssize(plan.buckets); ++b) exchange->publish(0, b);
      for (int b = 0; b < std::ssize(plan.buckets); ++b) {
        const ElementRange own = exchange->slice(0, b);
        const TreeNode node = exchange->collect(0, b).front();
        if (own.count() > 0) {
          double* const norm = exchange->block_norms() + own.begin / kBlockElements;
          const std::int64_t blocks = (own.count() + kBlockElements - 1) / kBlockElements;
          Tensor norms = backend->borrow(norm, {blocks}, DType::kFloat64);
          backend->squared_norms(*stream, node.sum, norms);
          exchange->settle(0);
          EXPECT_EQ(*norm, 9.0 * double(std::min(own.count(), kBlockElements)));
          Tensor values = tensor(exchange->values(), own), state = tensor(exchange->state(1), own);
          backend->fill(*stream, 5, values);
          backend->fill(*stream, 7, state);
        }
        exchange->deliver(0, b);
      }
      exchange->finish(0);
      exchange->gather_states();
      if (communicator.rank() == 0) {
        const auto size = static_cast<std::size_t>(test.elements);
        testing::expect_equal(exchange->host_values(), std::vector<float>(size, 5), "values");
        testing::expect_equal(exchange->host_state(1), std::vector<float>(size, 7), "states");
      }
      communicator.barrier();
      stream->synchronize();
    });
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
