// 16-bit floats: rounding to bfloat16 of every upper half of a float, with every kind of lower
// half; every float16.
#include "kernels/core/small_floats.h"

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

TEST(Float16, EveryOneIsReadExactly) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const int exponent = static_cast<int>(bits >> 10 & 0x1f);
    const double fraction = bits & 0x3ff, sign = bits & 0x8000 ? -1 : 1;
    const float value = from_float16(static_cast<std::uint16_t>(bits));
    ASSERT_EQ(std::signbit(value), sign < 0) << bits;
    if (exponent == 0x1f) {
      ASSERT_TRUE(fraction == 0 ? std::isinf(value) : std::isnan(value)) << bits;
      continue;
    }
    const double size =
        exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    ASSERT_EQ(value, sign * size) << bits;
  }
}

}  // namespace
}  // namespace lockstep
