// The emulated GPU's memory: kernels and copies reach it, the host does not; and the account that a
// back end keeps of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/dataset/dataset.h"
#include "kernels/cuda/backend_impl.h"
#include "tests/emulation/emulated_cases.h"
#include "tests/error_of.h"

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

using gpu::Arena;
using ::testing::HasSubstr;

std::size_t bytes_of(const MemoryReport& report, const std::string& use) {
  for (const MemoryRow& row : report.rows)
    if (row.use == use) return row.bytes;
  return 0;
}

TEST(ArenaTest, RowsAddUpToWhatTheDeviceGave) {
  const auto arena = Arena::make(Arena::Kind::kReal);
  const std::size_t free = arena->report().free;
  arena->reserve({{}, 10 * 256, ""});
  std::vector<std::shared_ptr<std::byte>> held;
  {
    const MemoryUse weights("weights");
    held.push_back(arena->allocate(1));
    const MemoryUse activations("activations");
    held.push_back(arena->allocate(3 * 256));
    held.push_back(arena->allocate(100 * 256));  // more than is reserved
  }
  held.push_back(arena->allocate(256));
  const MemoryReport report = arena->report();
  EXPECT_EQ(bytes_of(report, "weights"), 256u);
  EXPECT_EQ(bytes_of(report, "activations"), 103u * 256);
  EXPECT_EQ(bytes_of(report, "other"), 256u);
  EXPECT_EQ(bytes_of(report, "not in use"), 5u * 256);
  EXPECT_EQ(report.bytes, 110u * 256);
  EXPECT_EQ(report.beyond_reserve, 100u * 256);
  EXPECT_EQ(free - report.free, report.bytes);
  EXPECT_EQ(held[1].get() - held[0].get(), 256);
  EXPECT_EQ(held[3].get() - held[0].get(), 4 * 256);
}

TEST(ArenaTest, PlacesServeAgain) {
  const auto arena = Arena::make(Arena::Kind::kReal);
  arena->reserve({{}, 4 * 256, ""});
  auto first = arena->allocate(256);
  const auto second = arena->allocate(2 * 256);
  const std::byte* const place = first.get();
  first.reset();
  EXPECT_NE(arena->allocate(2 * 256).get(), place);  // the gap is too short
  EXPECT_EQ(arena->allocate(200).get(), place);
  EXPECT_EQ(bytes_of(arena->report(), "not in use"), 2u * 256);
}

TEST(ArenaTest, ARehearsalFindsTheSamePlacesAndHasNoMemory) {
  const auto real = Arena::make(Arena::Kind::kReal);
  const auto rehearsed = Arena::make(Arena::Kind::kRehearsed);
  real->reserve({{}, std::size_t{1} << 20, ""});
  const std::size_t free = real->report().free;
  std::vector<std::vector<std::ptrdiff_t>> places;
  for (const auto& arena : {real, rehearsed}) {
    std::vector<std::shared_ptr<std::byte>> held;
    for (const std::size_t bytes : {1000, 3000, 256, 5000, 1})
      held.push_back(arena->allocate(bytes));
    held[1].reset();
    held[3].reset();
    for (const std::size_t bytes : {2000, 2000, 4000}) held.push_back(arena->allocate(bytes));
    places.emplace_back();
    for (const auto& piece : held)
      places.back().push_back(piece == nullptr ? -1 : piece.get() - held[0].get());
  }
  EXPECT_EQ(places[0], places[1]);
  EXPECT_EQ(rehearsed->report().free, free);
}

TEST(ArenaTest, TheEndOfMemoryIsToldWithAllThatIsHeld) {
  const auto arena = Arena::make(Arena::Kind::kReal);
  arena->reserve({{}, 1 << 20, "\nTry this"});
  const MemoryUse use("weights");
  const auto held = arena->allocate(300 << 10);
  const std::string message = error_of([&] { arena->allocate(std::size_t{3} << 30); });
  EXPECT_THAT(message,
              HasSubstr("out of memory: the GPU does not hold 3.0 GiB more for \"weights\""));
  EXPECT_THAT(message, HasSubstr("1023.0 MiB of 1.0 GiB are free"));
  EXPECT_THAT(message, HasSubstr("\n  not in use   724.0 KiB  in 1 piece\n  weights"));
  EXPECT_THAT(message, HasSubstr("300.0 KiB  in 1 piece\n  in all         1.0 MiB"));
  EXPECT_THAT(message, HasSubstr("\nTry this"));
}

TEST(ArenaTest, APlanThatIsTooLargeIsToldRowByRow) {
  constexpr std::size_t kGibibyte = std::size_t{1} << 30;
  const auto arena = Arena::make(Arena::Kind::kReal);
  const MemoryPlan plan{
      {{"activations", 2, 3 * kGibibyte}, {"weights", 1, kGibibyte}}, 4 * kGibibyte, "\nTry this"};
  const std::string message = error_of([&] { arena->reserve(plan); });
  EXPECT_THAT(message, HasSubstr("does not hold this training, which takes 4.0 GiB: 1.0 GiB of 1.0 "
                                 "GiB are free. The plan:\n  activations     3.0 GiB"));
  EXPECT_THAT(message, HasSubstr("\nTry this"));
}

TEST(RehearsalTest, ItComputesNothingAndAsksTheLibraries) {
  const auto backend = cases::emulated_backend();
  auto& real = static_cast<CudaBackend&>(*backend);
  CudaBackend rehearsal(real);
  const auto stream = rehearsal.make_stream(0);
  const Tensor x = rehearsal.zeros({5, 7}, DType::kFloat32);
  const Tensor w = rehearsal.zeros({21}, DType::kFloat32);
  Tensor y = rehearsal.zeros({5, 3}, DType::kFloat32);
  rehearsal.linear_forward(*stream, {.in = 7, .out = 3}, x, w, {}, {}, y);
  stream->record()->synchronize();
  stream->synchronize();
  EXPECT_EQ(real.plans().plans().size(), 1u);
  Tensor host = host_tensor({5, 3}, DType::kFloat32);
  rehearsal.copy(y, host);
  for (const float value : host.span<float>()) EXPECT_EQ(value, 0.0f);
  EXPECT_EQ(rehearsal.arena().report().bytes, 3u * 256);
  EXPECT_EQ(real.arena().report().bytes, 0u);
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
