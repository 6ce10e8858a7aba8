// Rounding to bfloat16: every upper half of a float, with every kind of lower half.
#include "runtime/communication/bfloat16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace lockstep {
namespace {

TEST(BFloat16, RoundsToTheNearestAndTiesToEven) {
  for (std::uint32_t upper = 0; upper < 0x10000; ++upper) {
    const float exact = from_bfloat16(static_cast<std::uint16_t>(upper));
    for (std::uint32_t lower : {0x0u, 0x1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      const float value = std::bit_cast<float>(upper << 16 | lower);
      const float rounded = from_bfloat16(to_bfloat16(value));
      if (std::isnan(value)) {
        ASSERT_TRUE(std::isnan(rounded)) << upper << " " << lower;
        continue;
      }
      const bool up = lower > 0x8000u || (lower == 0x8000u && (upper & 1u) != 0);
      const std::uint32_t expected = upper + (up ? 1 : 0);
      ASSERT_EQ(std::bit_cast<std::uint32_t>(rounded), expected << 16) << upper << " " << lower;
      if (lower == 0) {
        ASSERT_EQ(rounded, exact);
      }
    }
  }
}

TEST(BFloat16, WhatIsTooLargeBecomesInfinity) {
  EXPECT_EQ(from_bfloat16(to_bfloat16(std::numeric_limits<float>::max())),
            std::numeric_limits<float>::infinity());
}

}  // namespace
}  // namespace lockstep
