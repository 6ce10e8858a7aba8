#include "kernels/cuda/memory_table.h"

#include <gmock/gmock.h>

#include <vector>

namespace lockstep::gpu {
namespace {

using testing::HasSubstr;

constexpr std::size_t kMebibyte = 1 << 20;

TEST(MemoryTable, TellsWhatTakesMost) {
  MemoryTable table;
  std::vector<char> places(20);
  for (std::size_t i = 0; i < 5; ++i) table.add(&places[i], 3 * kMebibyte);
  table.add(&places[5], 10 * kMebibyte);
  table.add(&places[6], 10 * kMebibyte);
  table.remove(&places[6]);
  table.remove(&places[6]);
  table.remove(&places[19]);
  EXPECT_EQ(table.held(), 25 * kMebibyte);
  const std::string text = table.out_of_memory(64 * kMebibyte, 32 * kMebibyte, 80 * kMebibyte);
  EXPECT_THAT(text, HasSubstr("does not hold 64.0 MiB more: 32.0 MiB of 80.0 MiB are free"));
  EXPECT_THAT(text, HasSubstr("25.0 MiB in 6 pieces"));
  EXPECT_THAT(text, HasSubstr("5 x        3.0 MiB =       15.0 MiB\n      1 x       10.0 MiB"));
  EXPECT_THAT(text, HasSubstr("training.batch"));
  EXPECT_THAT(text, HasSubstr("run.shards"));
}

TEST(MemoryTable, OfManySizesTheSmallestAreCounted) {
  MemoryTable table;
  std::vector<char> places(20);
  for (std::size_t i = 0; i < 11; ++i) table.add(&places[i], (i + 1) * kMebibyte);
  EXPECT_THAT(table.out_of_memory(1, 2, 3), HasSubstr("and 3 smaller sizes"));
}

}  // namespace
}  // namespace lockstep::gpu
