// Elementary functions of plain arithmetic against the C library's.
#include "kernels/core/portable_math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace lockstep {
namespace {

TEST(PortableMath, SineAndCosine) {
  for (int i = -4000; i <= 4000; ++i) {
    const double turns = i / 731.0, radians = 2 * std::numbers::pi * turns;
    EXPECT_NEAR(sine_cosine(turns).sine, std::sin(radians), 1e-14) << turns;
    EXPECT_NEAR(sine_cosine(turns).cosine, std::cos(radians), 1e-14) << turns;
  }
}

TEST(PortableMath, Exponential) {
  for (int i = -70000; i <= 70000; ++i) {
    const double x = i / 99.0, expected = std::exp(x);
    if (x < -708) {
      EXPECT_EQ(exponential(x), 0) << x;
    } else if (x <= 709) {
      EXPECT_NEAR(exponential(x) / expected, 1, 4e-16) << x;
    }
  }
  EXPECT_EQ(exponential(0), 1);
}

TEST(PortableMath, Logarithm) {
  for (int i = -70000; i <= 70000; ++i) {
    const double x = std::exp(i / 99.0);
    if (x < 0x1p-1022 || std::isinf(x)) continue;
    EXPECT_NEAR(natural_log(x), std::log(x), 4e-16 * std::fabs(std::log(x)) + 1e-300) << x;
  }
  EXPECT_EQ(natural_log(1), 0);
}

}  // namespace
}  // namespace lockstep
