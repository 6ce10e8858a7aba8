// The emulated GPU itself: kernels with deliberate mistakes are reported, sound ones run.
#include <gtest/gtest.h>

#include <vector>

#include "kernels/cuda/kernel.h"
#include "kernels/cuda/stream.h"
#include "tests/error_of.h"

namespace lockstep::gpu {
namespace {

__global__ void sum_of_block(float* out) {
  float* const values = dynamic_shared<float>();
  values[threadIdx.x] = static_cast<float>(threadIdx.x);
  __syncthreads();
  for (unsigned step = blockDim.x / 2; step > 0; step /= 2) {
    if (threadIdx.x < step) values[threadIdx.x] += values[threadIdx.x + step];
    __syncthreads();
  }
  if (threadIdx.x == 0) out[blockIdx.x] = values[0];
}

__global__ void neighbours_without_barrier(float* out) {
  LOCKSTEP_SHARED(float[64], values);
  values[threadIdx.x] = 1.0f;
  out[threadIdx.x] = values[(threadIdx.x + 32) % 64];
}

__global__ void two_barriers(float* out) {
  if (threadIdx.x < 32) {
    __syncthreads();
    out[0] = 1;
  } else {
    __syncthreads();
  }
}

__global__ void leaves_before_barrier(float* out) {
  if (threadIdx.x >= 40) return;
  __syncthreads();
  out[threadIdx.x] = 1;
}

__global__ void waits_at_different_things(float* out) {
  if (threadIdx.x == 3)
    __syncthreads();
  else
    __syncwarp();
  out[0] = 1;
}

__global__ void shuffle_from_absent_lane(float* out) {
  if (threadIdx.x < 16) out[threadIdx.x] = __shfl_down_sync(0xffffu, 1.0f, 4);
}

__global__ void shuffle_within_half_a_warp(float* out) {
  if (threadIdx.x < 16)
    out[threadIdx.x] = __shfl_down_sync(0xffffu, static_cast<float>(threadIdx.x), 4, 16);
}

__global__ void shuffle_after_exit(float* out) {
  if (threadIdx.x == 7) return;
  out[threadIdx.x] = __shfl_xor_sync(kWholeWarp, 1.0f, 1);
}

__global__ void mask_without_the_caller(float* out) {
  out[threadIdx.x] = __shfl_sync(0xfffffffeu, 1.0f, 1);
}

__global__ void writes_behind_shared(float* out) {
  LOCKSTEP_SHARED(float[64], values);
  values[threadIdx.x + 1] = 1;
  __syncthreads();
  out[threadIdx.x] = 1;
}

__global__ void traps(float* out) {
  if (threadIdx.x == 5) __trap();
  out[threadIdx.x] = 1;
}

class MachineTest : public testing::TestWithParam<emulation::Order> {
 protected:
  void SetUp() override {
    emulation::set_streams(emulation::Streams::kAtOnce);
    emulation::options().order = GetParam();
    stream_ = make_stream();
  }
  void TearDown() override {
    destroy(stream_);
    emulation::set_streams(emulation::Streams::kAtOnce);  // forgets what has failed
  }
  std::string error(void (*kernel)(float*), unsigned blocks, unsigned threads,
                    std::size_t shared = 0) {
    emulation::set_streams(emulation::Streams::kAtOnce);  // forgets what has failed
    return error_of([&] {
      launch(stream_,
             {.name = "test", .grid = {blocks}, .block = {threads}, .shared_bytes = shared}, kernel,
             out_.data());
    });
  }
  RawStream stream_ = nullptr;
  std::vector<float> out_ = std::vector<float>(4096);
};

TEST_P(MachineTest, RunsWhatIsSound) {
  EXPECT_EQ(error(sum_of_block, 3, 256, 1024), "");
  EXPECT_EQ(out_[2], 255 * 128);
  EXPECT_EQ(error(shuffle_within_half_a_warp, 1, 32), "");
  EXPECT_EQ(out_[3], 7);
  EXPECT_EQ(out_[13], 13);  // its source lies outside the segment
}

TEST_P(MachineTest, ReportsAMissingBarrier) {
  // A thread that runs before the one that writes reads NaN.
  error(neighbours_without_barrier, 1, 64);
  int unwritten = 0;
  for (int i = 0; i < 64; ++i) unwritten += out_[static_cast<std::size_t>(i)] != 1.0f;
  EXPECT_GT(unwritten, 0);
}

TEST_P(MachineTest, ReportsBarriersThatNotAllReach) {
  EXPECT_NE(error(two_barriers, 1, 64).find("two barriers"), std::string::npos);
  EXPECT_NE(error(leaves_before_barrier, 1, 64).find("exited"), std::string::npos);
  EXPECT_NE(error(waits_at_different_things, 1, 64).find("waits for ever"), std::string::npos);
}

TEST_P(MachineTest, ReportsShufflesFromLanesThatTakeNoPart) {
  EXPECT_NE(error(shuffle_from_absent_lane, 1, 32).find("does not take part"), std::string::npos);
  EXPECT_NE(error(shuffle_after_exit, 1, 32).find("has exited"), std::string::npos);
  EXPECT_NE(error(mask_without_the_caller, 1, 32).find("does not name the lane"),
            std::string::npos);
}

TEST_P(MachineTest, ReportsLaunchesThatNoGpuTakes) {
  EXPECT_NE(error(traps, 1, 2048).find("a block of (2048"), std::string::npos);
  EXPECT_NE(error(traps, 0, 32).find("a grid of (0"), std::string::npos);
  EXPECT_NE(error(sum_of_block, 1, 256, 300 << 10).find("bytes of shared memory"),
            std::string::npos);
}

TEST_P(MachineTest, NamesThreadFileAndLine) {
  const std::string text = error(traps, 1, 32);
  EXPECT_NE(text.find("__trap() at "), std::string::npos) << text;
  EXPECT_NE(text.find("machine_test.cc:"), std::string::npos) << text;
  EXPECT_NE(text.find("thread (5, 0, 0) of block (0, 0, 0) of test"), std::string::npos) << text;
}

TEST_P(MachineTest, ReportsAWriteBesideSharedMemory) {
  EXPECT_NE(error(writes_behind_shared, 1, 64).find("beside every variable"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Orders, MachineTest,
                         testing::Values(emulation::Order::kForward, emulation::Order::kReverse,
                                         emulation::Order::kRandom));

// Streams: work that no wait orders comes in some other order for one of the seeds.
class StreamsTest : public testing::Test {
 protected:
  void TearDown() override { emulation::set_streams(emulation::Streams::kAtOnce); }

  // Whether `to` is written before it is read for every seed.
  static bool always_in_order(bool waits) {
    emulation::set_streams(emulation::Streams::kInterleaved);
    bool in_order = true;
    for (std::uint64_t seed = 1; seed <= 16; ++seed) {
      emulation::options().seed = seed;
      const RawStream writer = make_stream(), reader = make_stream();
      const RawEvent written = make_event();
      float from = 1, between = 0, to = 0;
      copy_async(&between, &from, sizeof from, writer);
      record(written, writer);
      if (waits) wait(reader, written);
      copy_async(&to, &between, sizeof to, reader);
      synchronize(reader);
      synchronize(writer);
      in_order = in_order && to == 1;
      destroy(written);
      destroy(reader);
      destroy(writer);
    }
    return in_order;
  }
};

TEST_F(StreamsTest, AWaitOrdersTwoStreams) {
  EXPECT_TRUE(always_in_order(true));
}

TEST_F(StreamsTest, AMissingWaitShows) {
  EXPECT_FALSE(always_in_order(false));
}

TEST_F(StreamsTest, AFailureStaysUntilItIsForgotten) {
  emulation::set_streams(emulation::Streams::kAtOnce);
  const RawStream stream = make_stream();
  std::vector<float> out(64);
  const Launch one{.name = "test", .grid = {1}, .block = {32}};
  EXPECT_NE(error_of([&] { launch(stream, one, traps, out.data()); }), "");
  EXPECT_NE(error_of([&] { launch(stream, one, traps, out.data()); }).find("an earlier kernel"),
            std::string::npos);
  destroy(stream);
}

}  // namespace
}  // namespace lockstep::gpu
