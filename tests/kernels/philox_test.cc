// Philox 4x32-10: the known answers of Random123's kat_vectors, and that keys tell streams apart.
#include "kernels/core/philox.h"

#include <gtest/gtest.h>

#include <set>

namespace lockstep {
namespace {

TEST(PhiloxTest, GivesTheKnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const std::uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox4x32({ones, ones, ones, ones}, {ones, ones}),
            (PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(PhiloxTest, EveryPartOfTheKeyChangesTheBlock) {
  const RandomKey base{.seed = 7, .purpose = RandomPurpose::kDropout, .layer = 3, .time = 11};
  std::set<PhiloxBlock> blocks = {base.block(5, 9)};
  const auto add = [&](RandomKey key, std::uint64_t sample, std::uint32_t block) {
    EXPECT_TRUE(blocks.insert(key.block(sample, block)).second);
  };
  add(base, 6, 9);
  add(base, 5, 10);
  add(base, 5 + (std::uint64_t{1} << 32), 9);
  RandomKey key = base;
  key.seed = 8;
  add(key, 5, 9);
  key.seed = 7 + (std::uint64_t{1} << 32);
  add(key, 5, 9);
  key = base;
  key.purpose = RandomPurpose::kAugmentation;
  add(key, 5, 9);
  key = base;
  key.layer = 4;
  add(key, 5, 9);
  key = base;
  key.time = 12;
  add(key, 5, 9);
  key.time = 11 + (std::uint64_t{1} << 32);
  add(key, 5, 9);
}

TEST(PhiloxTest, UnitNumbersStayInTheirIntervals) {
  EXPECT_EQ(to_unit_float(0), 0.0f);
  EXPECT_EQ(to_unit_float(0xffffffff), 1.0f - 0x1p-24f);
  EXPECT_EQ(to_open_unit(0), 0x1p-33);
  EXPECT_EQ(to_open_unit(0xffffffff), 1.0 - 0x1p-33);
}

}  // namespace
}  // namespace lockstep
