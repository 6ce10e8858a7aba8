// Every operation case once, under the address and undefined-behaviour sanitizers, each tensor in
// an allocation exactly as long as it is: an access beyond its end ends the program.
#include <gtest/gtest.h>

#include "kernels/cuda/kernel.h"
#include "kernels/cuda/stream.h"
#include "tests/emulation/emulated_cases.h"

namespace lockstep::cases {
namespace {

class ExactMemory : public testing::TestWithParam<std::string> {};

TEST_P(ExactMemory, IsNotLeft) {
  EXPECT_EQ(run_cases(GetParam(), 3e5, {.exact = true}), "");
}

INSTANTIATE_TEST_SUITE_P(All, ExactMemory, testing::ValuesIn(operations_of_cases()),
                         [](const auto& param) { return param.param; });

__global__ void writes_behind_the_end(float* out) {
  out[threadIdx.x + 1] = 1;
}

__global__ void writes_behind_shared(float* out) {
  LOCKSTEP_SHARED(float[64], values);
  values[threadIdx.x + 1] = 1;
  __syncthreads();
  out[threadIdx.x] = values[threadIdx.x];
}

void launch_over(void (*kernel)(float*)) {
  const auto memory = gpu::Arena::make(gpu::Arena::Kind::kReal)->allocate(64 * sizeof(float));
  const gpu::RawStream stream = gpu::make_stream();
  gpu::launch(stream, {.name = "test", .grid = {1}, .block = {64}}, kernel,
              reinterpret_cast<float*>(memory.get()));
}

TEST(ExactMemoryDeathTest, AnAccessBeyondItEndsTheProgram) {
  EXPECT_DEATH(launch_over(writes_behind_the_end), "heap-buffer-overflow");
  EXPECT_DEATH(launch_over(writes_behind_shared), "index 64 out of bounds");
}

}  // namespace
}  // namespace lockstep::cases
