// Every small operation case once under the race detector, and kernels with deliberate races, some
// of which give the right result in every order.
#include <gtest/gtest.h>

#include "kernels/cuda/kernel.h"
#include "kernels/cuda/stream.h"
#include "tests/emulation/emulated_cases.h"
#include "tests/error_of.h"

namespace lockstep::cases {
namespace {

class Races : public testing::TestWithParam<std::string> {};

TEST_P(Races, AreNone) {
  EXPECT_EQ(run_cases(GetParam(), 5e4, {}), "");
}

INSTANTIATE_TEST_SUITE_P(All, Races, testing::ValuesIn(operations_of_cases()),
                         [](const auto& param) { return param.param; });

__global__ void exchange_without_barrier(float* out) {
  LOCKSTEP_SHARED(float[64], values);
  values[threadIdx.x] = 1.0f;
  out[threadIdx.x] = values[(threadIdx.x + 32) % 64];
}

__global__ void exchange_in_a_warp(float* out, int sync) {
  LOCKSTEP_SHARED(float[32], values);
  values[threadIdx.x] = 1.0f;
  if (sync != 0) __syncwarp();
  out[threadIdx.x] = values[31 - threadIdx.x];
}

__global__ void exchange_after_a_shuffle(float* out) {
  LOCKSTEP_SHARED(float[32], values);
  values[threadIdx.x] = 1.0f;
  const float one = __shfl_xor_sync(gpu::kWholeWarp, 1.0f, 1);
  out[threadIdx.x] = values[31 - threadIdx.x] * one;
}

__global__ void same_value_from_two_blocks(float* out) {
  out[threadIdx.x] = 5.0f;
}

__global__ void all_read_one_writes(float* out) {
  out[threadIdx.x + 64] = out[0];
  if (threadIdx.x == 5) out[0] = 1;
}

__global__ void reads_what_nobody_wrote(float* out) {
  LOCKSTEP_SHARED(float[64], values);
  if (threadIdx.x < 63) values[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = values[threadIdx.x];
}

template <typename... Parameters, typename... Arguments>
std::string report_of(unsigned blocks, unsigned threads, void (*kernel)(float*, Parameters...),
                      Arguments... arguments) {
  emulation::set_streams(emulation::Streams::kAtOnce);  // forgets what has failed
  const auto memory = gpu::Arena::make(gpu::Arena::Kind::kReal)->allocate(1024);
  const gpu::RawStream stream = gpu::make_stream();
  const gpu::Launch what{.name = "test", .grid = {blocks}, .block = {threads}};
  std::string report = error_of([&] {
    gpu::launch(stream, what, kernel, reinterpret_cast<float*>(memory.get()), arguments...);
  });
  emulation::set_streams(emulation::Streams::kAtOnce);
  gpu::destroy(stream);
  return report;
}

TEST(RaceDetectorTest, ReportsARaceThatGivesTheRightResult) {
  EXPECT_NE(report_of(1, 64, exchange_without_barrier), "");
  EXPECT_NE(report_of(1, 32, exchange_in_a_warp, 0), "");
  EXPECT_NE(report_of(1, 32, exchange_after_a_shuffle), "");
  EXPECT_NE(report_of(2, 32, same_value_from_two_blocks).find("a write after a write"),
            std::string::npos);
  EXPECT_NE(report_of(1, 64, all_read_one_writes).find("global memory"), std::string::npos);
  EXPECT_NE(report_of(1, 64, reads_what_nobody_wrote).find("nobody wrote"), std::string::npos);
}

TEST(RaceDetectorTest, AcceptsWhatIsOrdered) {
  EXPECT_EQ(report_of(1, 32, exchange_in_a_warp, 1), "");
}

}  // namespace
}  // namespace lockstep::cases
