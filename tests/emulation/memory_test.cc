// The emulated GPU's memory: kernels and copies reach it, the host does not.
#include <gtest/gtest.h>

#include "tests/emulation/emulated_cases.h"

namespace lockstep {
namespace {

TEST(DeviceMemoryTest, WorkReadsAndWritesIt) {
  const auto backend = cases::emulated_backend();
  EXPECT_FALSE(backend->memory_is_host());
  const auto stream = backend->make_stream(0);
  Tensor a = backend->zeros({1000}, DType::kFloat32);
  const Tensor between = backend->zeros({3}, DType::kFloat32);
  Tensor b = backend->empty({1000}, DType::kFloat32);
  backend->fill(*stream, 2.0f, a);
  backend->copy_async(*stream, a, b);
  stream->synchronize();
  const Tensor twos = b.to_host(), zeros = between.to_host();
  for (const float value : twos.span<float>()) ASSERT_EQ(value, 2.0f);
  for (const float value : zeros.span<float>()) ASSERT_EQ(value, 0.0f);
}

TEST(DeviceMemoryTest, ItIsUsedAgain) {
  const auto backend = cases::emulated_backend();
  const void* first = nullptr;
  for (int round = 0; round < 3; ++round) {
    const Tensor tensor = backend->empty({12345}, DType::kFloat32);
    if (round == 0) first = tensor.raw();
    EXPECT_EQ(tensor.raw(), first);
  }
}

TEST(DeviceMemoryDeathTest, TheHostEndsWhereItTouchesIt) {
  const auto backend = cases::emulated_backend();
  const Tensor tensor = backend->zeros({4}, DType::kFloat32);
  EXPECT_DEATH(std::fill_n(tensor.data<float>(), 4, 1.0f), "");
  EXPECT_DEATH(
      {
        volatile float value = *tensor.data<float>();
        static_cast<void>(value);
      },
      "");
}

}  // namespace
}  // namespace lockstep
