// The exchange with ranks as threads, through shared memory, by messages, and by messages between
// the first ranks of nodes: sums equal to the bit to the tree from its definition, over several
// steps; failing and late ranks.
#include <gtest/gtest.h>

#include <condition_variable>
#include <deque>
#include <latch>
#include <map>
#include <random>

#include "runtime/communication/message_exchange.h"
#include "tests/runtime/exchange_steps.h"
#include "tests/runtime/rank_threads.h"

namespace lockstep {
namespace {

using testing::HostMemory;
using testing::Reference;
using testing::run_rank;
using testing::StepsCase;

// Letters between parties of one process, in the order in which they were sent.
struct Mail {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::pair<int, int>, std::deque<std::vector<std::byte>>> boxes;  // (from, to)
  FailureFlag failure;

  bool fail() {
    const bool first = failure.raise();
    const std::lock_guard lock(mutex);
    changed.notify_all();
    return first;
  }
};

class MailLink final : public MessageLink {
 public:
  MailLink(Mail& mail, int party) : mail_(mail), party_(party) {}

  void exchange(std::span<const Message> sends, std::span<const Message> receives,
                const MessagePurpose& purpose) override {
    std::unique_lock lock(mail_.mutex);
    for (const Message& message : sends)
      if (!message.bytes.empty())
        mail_.boxes[{party_, message.peer}].emplace_back(message.bytes.begin(),
                                                         message.bytes.end());
    mail_.changed.notify_all();
    for (const Message& message : receives) {
      if (message.bytes.empty()) continue;
      auto& box = mail_.boxes[{message.peer, party_}];
      const auto patience = std::chrono::duration<double>(purpose.patience_seconds);
      if (!mail_.changed.wait_for(lock, patience,
                                  [&] { return !box.empty() || mail_.failure.raised(); }))
        throw late_error({message.peer}, purpose.what, purpose.step, purpose.patience_seconds);
      mail_.failure.check();
      ASSERT_EQ(box.front().size(), message.bytes.size());
      std::copy(box.front().begin(), box.front().end(), message.bytes.begin());
      box.pop_front();
    }
  }

  void all_reduce(std::span<float>, const MessagePurpose&) override {
    FAIL() << "the tree sums without the link";
  }

 private:
  Mail& mail_;
  int party_;
};

enum class Form { kShared, kMessages, kPairs };  // kPairs: every two ranks share memory

// Ranks as threads whose parties hold `size` ranks, but for the last.
void on_parties(int size, const StepsCase& test, const ExchangePlan& plan,
                const std::function<void(int, Exchange&, const std::function<bool()>&)>& work) {
  const int ranks = static_cast<int>(test.workers.size());
  std::vector<int> sizes, names;
  for (int rank = 0; rank < ranks; ++rank) names.push_back(rank);
  for (int rank = 0; rank < ranks; rank += size) sizes.push_back(std::min(size, ranks - rank));
  const PartyPlan parties(ShardPlan(test.shards, test.workers), sizes);
  Mail mail;
  std::vector<std::shared_ptr<NodeSegment>> segments;
  for (int p = 0; p < parties.parties(); ++p)
    segments.push_back(std::make_shared<NodeSegment>(
        NodeSegment::in_process(message_arena(plan, parties, p).bytes())));
  testing::on_threads(ranks, [&](int rank) {
    HostMemory device;
    const int party = parties.party_of(rank);
    MailLink link(mail, party);
    ExchangeArena arena = message_arena(plan, parties, party);
    const auto& segment = segments[static_cast<std::size_t>(party)];
    arena.place(segment->data());
    const Waiter waiter(mail.failure, plan.patience_seconds, true);
    MessageExchange exchange(plan, parties, rank, names, device, {arena, segment, waiter},
                             parties.speaker(party) == rank ? &link : nullptr);
    work(rank, exchange, [&] { return mail.fail(); });
  });
}

// Runs `work(rank, exchange, announce_failure)` on every rank of the case.
void on_exchange(Form form, const StepsCase& test, const ExchangePlan& plan,
                 const std::function<void(int, Exchange&, const std::function<bool()>&)>& work) {
  const int ranks = static_cast<int>(test.workers.size());
  const ShardPlan shards(test.shards, test.workers);
  if (form == Form::kShared) {
    testing::on_ranks(ranks, [&](Communicator& communicator) {
      HostMemory device;
      const auto exchange = communicator.make_exchange(plan, shards, device);
      work(communicator.rank(), *exchange, [&] { return communicator.announce_failure(); });
    });
  } else {
    on_parties(form == Form::kPairs ? 2 : 1, test, plan, work);
  }
}

void expect_right(Form form, const StepsCase& test) {
  SCOPED_TRACE(text_of(test));
  const Reference reference(test);
  on_exchange(
      form, test, testing::plan_of(test), [&](int rank, Exchange& exchange, auto& announce) {
        EXPECT_EQ(run_rank(test, reference, rank, announce, exchange), "") << "rank " << rank;
      });
}

std::string name_of_form(const ::testing::TestParamInfo<Form>& info) {
  if (info.param == Form::kPairs) return "Pairs";
  return info.param == Form::kShared ? "Shared" : "Messages";
}

class Exchanges : public ::testing::TestWithParam<Form> {};
INSTANTIATE_TEST_SUITE_P(Forms, Exchanges,
                         ::testing::Values(Form::kShared, Form::kMessages, Form::kPairs),
                         name_of_form);

TEST_P(Exchanges, AnyShardsRanksAndWorkersGiveTheSameBits) {
  std::mt19937 random{std::random_device{}()};
  constexpr std::int64_t kElements[] = {1, 77, 4095, 4096, 4097, 9001, 12289};
  for (std::int64_t shards : {1, 2, 4, 8, 16}) {
    for (int ranks : {1, 2, 3, 5, 8}) {
      if (ranks > shards) continue;
      for (int workers : {1, 2, 3}) {
        StepsCase test;
        test.shards = shards;
        test.workers.assign(static_cast<std::size_t>(ranks), workers);
        test.elements = kElements[random() % std::size(kElements)];
        test.bucket_blocks = 1 + random() % 2;
        test.norms = random() % 2;
        test.seed = random();
        expect_right(GetParam(), test);
      }
    }
  }
}

TEST_P(Exchanges, AnyElementCountAndBuckets) {
  for (std::int64_t elements : {1, 3, 4095, 4096, 4097, 8191, 8193, 50001}) {
    for (std::int64_t bucket_blocks : {1, 3, 100}) {
      StepsCase test;
      test.shards = 4;
      test.workers = {1, 2, 1};
      test.elements = elements;
      test.bucket_blocks = bucket_blocks;
      test.norms = bucket_blocks == 3;
      test.steps = 2;
      test.seed = std::random_device{}();
      expect_right(GetParam(), test);
    }
  }
}

TEST_P(Exchanges, RanksWithDifferentWorkersOverManySteps) {
  StepsCase test;
  test.shards = 8;
  test.workers = {3, 1, 5};
  test.elements = 5000;
  test.norms = true;
  test.steps = 40;
  test.first_step = 1000;  // as after a resume
  test.seed = std::random_device{}();
  expect_right(GetParam(), test);
}

TEST_P(Exchanges, StepsWithoutElementsJoinScalars) {
  StepsCase test;
  test.shards = 4;
  test.workers = {2, 1, 1};
  test.elements = 0;
  test.steps = 200;
  expect_right(GetParam(), test);
}

TEST_P(Exchanges, AFailureEndsTheOthersWaitsWithoutAMessage) {
  StepsCase test;
  test.shards = 4;
  test.workers = {1, 2, 1};
  test.elements = 50000;
  test.bucket_blocks = 100;
  std::atomic<int> peer_failed = 0;
  on_exchange(GetParam(), test, testing::plan_of(test),
              [&](int rank, Exchange& exchange, auto& announce) {
                exchange.begin(0, 1);
                if (rank == 2) {
                  EXPECT_TRUE(announce());
                  return;
                }
                exchange.publish(0, 0);
                try {
                  exchange.collect(0, 0);
                } catch (const PeerFailed&) {
                  ++peer_failed;
                  EXPECT_FALSE(announce());
                }
              });
  EXPECT_EQ(peer_failed, 2);
}

TEST_P(Exchanges, ALateRankIsNamedWithItsStep) {
  StepsCase test;
  test.shards = 4;
  test.workers = {1, 1, 1};
  test.elements = 50000;
  test.bucket_blocks = 100;
  ExchangePlan plan = testing::plan_of(test);
  plan.patience_seconds = 0.5;
  std::atomic<int> caught = 0;
  std::latch published(2);  // neither of these is late, however busy the machine
  on_exchange(GetParam(), test, plan, [&](int rank, Exchange& exchange, auto&) {
    exchange.begin(0, 57);
    if (rank == 1) return;
    exchange.publish(0, 0);
    published.arrive_and_wait();
    try {
      exchange.collect(0, 0);
    } catch (const PeerFailed&) {
    } catch (const Error& error) {
      // Only who shares memory with it can tell which rank of a node is late.
      if (GetParam() == Form::kPairs && rank == 2) return;
      ++caught;
      EXPECT_EQ(std::string(error.what())
                    .find("rank 1 has not finished the gradients of step 57 for 0.5 s"),
                0u)
          << error.what();
    }
  });
  EXPECT_EQ(caught, GetParam() == Form::kPairs ? 1 : 2);
}

TEST(Exchange, RanksThatMeanAnotherPlanAreRefused) {
  testing::on_ranks(2, [](Communicator& communicator) {
    StepsCase test;
    test.shards = 2;
    test.workers = {1, 1};
    test.elements = 10 + communicator.rank();
    HostMemory device;
    EXPECT_THROW(communicator.make_exchange(testing::plan_of(test),
                                            ShardPlan(test.shards, test.workers), device),
                 Error);
  });
}

}  // namespace
}  // namespace lockstep
