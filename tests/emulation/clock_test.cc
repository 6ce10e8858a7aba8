// The GPU's clock: seconds between points of a stream's work, whenever the host asks.
#include "kernels/cuda/clock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "kernels/cuda/stream.h"
#include "tests/emulation/emulated_cases.h"
#include "tests/emulation/streams.h"
#include "tests/error_of.h"

namespace lockstep {
namespace {

using emulation::Streams;
using ::testing::HasSubstr;

class Clock : public ::testing::TestWithParam<Streams> {
 protected:
  void SetUp() override { emulation::set_streams(GetParam()); }
  void TearDown() override { emulation::set_streams(Streams::kAtOnce); }
};
INSTANTIATE_TEST_SUITE_P(Modes, Clock, ::testing::Values(Streams::kAtOnce, Streams::kInterleaved),
                         [](const auto& info) {
                           return info.param == Streams::kAtOnce ? "AtOnce" : "Interleaved";
                         });

TEST_P(Clock, CountsFromItsStart) {
  const auto gpu = cases::emulated_backend();
  const auto stream = gpu->make_stream(0);
  const auto clock = make_cuda_clock();
  const auto work = [&](int milliseconds) {
    emulation::enqueue(cuda_stream(*stream).raw(), "work", [=] {
      std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    });
  };
  work(30);
  clock->start(*stream);
  work(5);
  const int first = clock->mark(*stream);
  work(10);
  const int second = clock->mark(*stream);
  EXPECT_GE(clock->seconds(second), 0.015);
  EXPECT_GE(clock->seconds(first), 0.005);
  EXPECT_GE(clock->seconds(second) - clock->seconds(first), 0.010);
  clock->start(*stream);
  EXPECT_THAT(error_of([&] { clock->seconds(first); }), HasSubstr("mark 0 of 0"));
}

TEST_P(Clock, MustBeStarted) {
  const auto gpu = cases::emulated_backend();
  const auto stream = gpu->make_stream(0);
  EXPECT_THAT(error_of([&] { make_cuda_clock()->mark(*stream); }), HasSubstr("was not started"));
}

}  // namespace
}  // namespace lockstep
