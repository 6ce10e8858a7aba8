// Streams of the CPU back end: order, events, failures, the thread that runs, the time a hand-over
// takes; and the profile that a stream may carry.
#include "kernels/cpu/stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "kernels/core/profile.h"
#include "kernels/cpu/cpu_backend.h"

namespace lockstep {
namespace {

class StreamTest : public testing::TestWithParam<int> {
 protected:
  std::unique_ptr<Backend> backend_ = make_cpu_backend(Isa::kGeneric);
  std::unique_ptr<Stream> stream_ = backend_->make_stream(GetParam());
};

TEST_P(StreamTest, RunsWorkInOrder) {
  std::vector<int> order;
  for (int i = 0; i < 1000; ++i) stream_->submit([&order, i] { order.push_back(i); });
  stream_->synchronize();
  ASSERT_EQ(order.size(), 1000u);
  EXPECT_TRUE(std::ranges::is_sorted(order));
}

TEST_P(StreamTest, AnEventComesWithTheWorkBeforeIt) {
  std::atomic<int> done = 0;  // the later work may run while this thread reads it
  stream_->submit([&] { done = 1; });
  const auto event = stream_->record();
  stream_->submit([&] { done += 10; });
  event->synchronize();
  EXPECT_TRUE(event->reached());
  EXPECT_GE(done.load(), 1);
  stream_->synchronize();
  EXPECT_EQ(done.load(), 11);
}

TEST_P(StreamTest, AFailureIsRethrownOnceAndDropsWhatFollows) {
  bool later = false;
  stream_->submit([] { throw Error("tensor on fire"); });
  stream_->submit([&] { later = true; });
  try {
    stream_->synchronize();
    FAIL() << "the failure was lost";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "tensor on fire");
  }
  EXPECT_FALSE(later);
  stream_->submit([&] { later = true; });
  EXPECT_NO_THROW(stream_->synchronize());
  EXPECT_TRUE(later);
}

TEST_P(StreamTest, AnEventAfterAFailureRethrowsIt) {
  const auto before = stream_->record();
  stream_->submit([] { throw Error("lost"); });
  const auto after = stream_->record();
  EXPECT_NO_THROW(before->synchronize());
  EXPECT_THROW(after->synchronize(), Error);
}

TEST_P(StreamTest, WorkMayNotWaitForItself) {
  stream_->submit([this] { stream_->synchronize(); });
  EXPECT_THROW(stream_->synchronize(), Error);
}

TEST_P(StreamTest, TheWorkspaceGrowsAndIsAligned) {
  for (const std::size_t bytes : {1, 1000, 100'000, 6'000'000}) {
    std::byte* space = stream_->workspace(bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(space) % 64, 0u);
    space[0] = space[bytes - 1] = std::byte{1};
    EXPECT_EQ(stream_->workspace(bytes / 2), space) << "it is kept";
  }
}

TEST_P(StreamTest, FlushesDenormals) {
  volatile float tiny = 1e-30f;
  float product = 1;
  stream_->submit([&] { product = tiny * tiny * 1e20f; });
  stream_->submit([&] { product = tiny * 1e-10f; });
  stream_->synchronize();
  EXPECT_EQ(product, 0.0f);
}

TEST_P(StreamTest, AnEventOutlivesItsStream) {
  stream_->submit([] {});
  const auto event = stream_->record();
  stream_->synchronize();
  stream_.reset();
  EXPECT_TRUE(event->reached());
  EXPECT_NO_THROW(event->synchronize());
}

INSTANTIATE_TEST_SUITE_P(Inline, StreamTest, testing::Values(0));
INSTANTIATE_TEST_SUITE_P(Threaded, StreamTest, testing::Values(1));

TEST(CpuStreamTest, StreamZeroRunsOnTheCallerAndOthersOnTheirOwnThread) {
  const auto backend = make_cpu_backend(Isa::kGeneric);
  const auto inline_stream = backend->make_stream(0), threaded = backend->make_stream(1);
  std::thread::id inline_id, threaded_id;
  inline_stream->submit([&] { inline_id = std::this_thread::get_id(); });
  threaded->submit([&] { threaded_id = std::this_thread::get_id(); });
  threaded->synchronize();
  EXPECT_EQ(inline_id, std::thread::id()) << "nobody has synchronized stream 0 yet";
  inline_stream->synchronize();
  EXPECT_EQ(inline_id, std::this_thread::get_id());
  EXPECT_NE(threaded_id, std::this_thread::get_id());
}

TEST(CpuStreamTest, StreamsWaitForEachOthersEvents) {
  const auto backend = make_cpu_backend(Isa::kGeneric);
  const auto a = backend->make_stream(1), b = backend->make_stream(2);
  std::atomic<int> value{0};
  for (int round = 0; round < 200; ++round) {
    a->submit([&] { value = 2 * round; });
    b->wait(a->record());
    b->submit([&] {
      if (value != 2 * round) throw Error("came too early");
      value = value + 1;
    });
    a->wait(b->record());
    a->submit([&] {
      if (value != 2 * round + 1) throw Error("came too early");
    });
    a->synchronize();
    b->synchronize();
  }
}

TEST(CpuStreamTest, AFailureReachesTheStreamThatWaits) {
  const auto backend = make_cpu_backend(Isa::kGeneric);
  const auto a = backend->make_stream(1), b = backend->make_stream(2);
  bool ran = false;
  a->submit([] { throw Error("first"); });
  b->wait(a->record());
  b->submit([&] { ran = true; });
  EXPECT_THROW(b->synchronize(), Error);
  EXPECT_FALSE(ran);
}

// Destroys a stream whose second piece of work has not begun; whether its event told so.
// `head_start` is the time that the destroyer has before the first piece ends.
bool dropped_work_is_told(Backend& backend, std::chrono::milliseconds head_start) {
  auto stream = backend.make_stream(1);
  std::atomic<bool> begun{false}, release{false};
  stream->submit([&] {
    begun = true;
    while (!release) std::this_thread::yield();
  });
  stream->submit([] {});
  const auto event = stream->record();
  while (!begun) std::this_thread::yield();
  std::thread destroyer([&] { stream.reset(); });
  std::this_thread::sleep_for(head_start);
  release = true;
  destroyer.join();
  try {
    event->synchronize();
  } catch (const Error&) {
    return true;
  }
  return false;
}

TEST(CpuStreamTest, DroppedWorkIsAnErrorForWhoWaits) {
  const auto backend = make_cpu_backend(Isa::kGeneric);
  // On a busy machine the destroyer may start after all is done.
  bool told = false;
  for (std::chrono::milliseconds head_start{20}; !told && head_start < std::chrono::seconds(20);
       head_start *= 2)
    told = dropped_work_is_told(*backend, head_start);
  EXPECT_TRUE(told);
}

TEST(CpuStreamTest, ASleepingStreamWakes) {
  const auto backend = make_cpu_backend(Isa::kGeneric);
  for (const int spin : {0, 20}) {
    CpuStreamOptions options;
    options.spin = std::chrono::microseconds(spin);
    CpuStream stream(*backend, options);
    for (int round = 0; round < 20; ++round) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      int done = 0;
      stream.submit([&] { done = 1; });
      stream.synchronize();
      EXPECT_EQ(done, 1);
    }
  }
}

TEST(CpuStreamTest, WorkThatWaitsForTheHostsStreamGoesOnOnceItRan) {
  const auto backend = make_cpu_backend(Isa::kGeneric);
  const auto host = backend->make_stream(0), other = backend->make_stream(1);
  int value = 0;
  host->submit([&] { value = 5; });
  other->wait(host->record());
  other->submit([&] { value *= 2; });
  host->synchronize();
  other->synchronize();
  EXPECT_EQ(value, 10);
}

TEST(DeviceTest, MemoryIsAlignedAndDescribed) {
  const auto backend = make_cpu_backend(best_isa());
  for (const std::int64_t elements : {0, 1, 1000, 3'000'000}) {
    const Tensor tensor = backend->zeros({elements});
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.raw()) % 256, 0u);
    for (const float x : tensor.span<float>()) ASSERT_EQ(x, 0.0f);
  }
  EXPECT_NE(backend->description().find(std::string(backend->isa())), std::string::npos);
  EXPECT_THROW(backend->empty({std::int64_t{1} << 50}), Error);
}

TEST(ProfileTest, CountsScopesByTheirPath) {
  Profile profile;
  for (int i = 0; i < 3; ++i) {
    const ProfileScope outer(&profile, "step");
    const ProfileScope inner(&profile, "conv1");
  }
  ASSERT_EQ(profile.entries().size(), 2u);
  EXPECT_EQ(profile.entries().at("step").count, 3);
  EXPECT_EQ(profile.entries().at("step.conv1").count, 3);
  EXPECT_GE(profile.entries().at("step").total, profile.entries().at("step.conv1").total);
  const Profile* const profiles[] = {&profile, &profile};
  const std::string table = profile_table(profiles);
  EXPECT_NE(table.find("step.conv1"), std::string::npos);
  EXPECT_NE(table.find("6"), std::string::npos);
  profile.clear();
  EXPECT_TRUE(profile.entries().empty());
}

TEST(ProfileTest, IsOffByDefault) {
  const auto backend = make_cpu_backend(Isa::kGeneric);
  const auto stream = backend->make_stream(0);
  EXPECT_EQ(stream->profile(), nullptr);
  const ProfileScope scope(stream->profile(), "nothing");
}

}  // namespace
}  // namespace lockstep
