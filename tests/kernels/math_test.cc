// The functions of kernels/cpu/simd/math.h against the C library's in double, over all exponents
// and at the places where they are easily wrong. The generic form stands for all: the operation
// cases compare the instruction sets bit by bit.
#define LOCKSTEP_ISA generic
#include "kernels/cpu/simd/math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/cpu/cpu_backend.h"

namespace lockstep::cpu::generic {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
using Function = V (*)(V);
using Reference = double (*)(double);

float at(Function function, float x) {
  float values[kWidth];
  store(values, function(set1(x)));
  return values[0];
}

// |got - expected| in units of the last place of the float next to `expected`.
double ulps(float got, double expected) {
  const auto rounded = static_cast<float>(expected);
  if (std::isnan(rounded)) return std::isnan(got) ? 0 : kInfinity;
  if (got == rounded) return 0;
  // Results that flush-to-zero takes are zero, whatever their size.
  if (std::fabs(expected) < 0x1p-126) return got == 0.0f ? 0 : kInfinity;
  const double unit = std::ldexp(1.0, std::max(std::ilogb(expected), -126) - 23);
  return std::fabs(static_cast<double>(got) - expected) / unit;
}

struct Case {
  const char* name;
  Function function;
  Reference reference;
  double most_ulps;
  float low, high;  // uniform samples; every exponent is sampled besides
};

std::vector<Case> cases() {
  return {
      {"exp", [](V x) { return exp(x); }, [](double x) { return std::exp(x); }, 1.5, -88, 89},
      {"expm1", [](V x) { return expm1_negative(min(set1(0.0f), x)); },
       [](double x) { return std::expm1(x > 0 ? 0 : x); }, 1.5, -20, 0},
      {"log", [](V x) { return log(x); }, [](double x) { return std::log(x); }, 1.5, 0, 3},
      {"tanh", [](V x) { return tanh(x); }, [](double x) { return std::tanh(x); }, 2, -10, 10},
      {"sigmoid", [](V x) { return sigmoid(x); }, [](double x) { return 1 / (1 + std::exp(-x)); },
       2.5, -88, 20},
      {"softplus", [](V x) { return softplus(x); },
       [](double x) { return std::fmax(x, 0) + std::log1p(std::exp(-std::fabs(x))); }, 2.5, -88,
       20},
      {"erf", [](V x) { return erf(x); }, [](double x) { return std::erf(x); }, 2, -4, 4},
  };
}

TEST(MathTest, StaysWithinAFewUnitsInTheLastPlace) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  flush_denormals_to_zero();
  for (const Case& c : cases()) {
    std::uniform_real_distribution<float> uniform(c.low, c.high);
    double worst = 0;
    float worst_x = 0;
    for (int i = 0; i < 400'000; ++i) {
      float x = uniform(random);
      if (i % 2 == 0) {  // every bit pattern
        const auto bits = static_cast<std::uint32_t>(random());
        std::memcpy(&x, &bits, sizeof x);
        if (!std::isnormal(x)) continue;
      }
      const double error = ulps(at(c.function, x), c.reference(static_cast<double>(x)));
      if (error > worst) {
        worst = error;
        worst_x = x;
      }
    }
    EXPECT_LE(worst, c.most_ulps) << c.name << "(" << worst_x << ") = " << at(c.function, worst_x);
    std::printf("%-9s %.2f ulp at %.9g\n", c.name, worst, static_cast<double>(worst_x));
  }
}

TEST(MathTest, IsRightAtTheEnds) {
  flush_denormals_to_zero();
  const auto exp_of = [](float x) { return at([](V v) { return exp(v); }, x); };
  EXPECT_EQ(exp_of(0.0f), 1.0f);
  EXPECT_EQ(exp_of(-0.0f), 1.0f);
  EXPECT_EQ(exp_of(kInfinity), kInfinity);
  EXPECT_EQ(exp_of(-kInfinity), 0.0f);
  EXPECT_EQ(exp_of(88.7229f), kInfinity);
  EXPECT_LT(exp_of(88.7228f), kInfinity);
  EXPECT_EQ(exp_of(-87.4f), 0.0f);
  EXPECT_GT(exp_of(-87.33f), 0.0f);
  const auto log_of = [](float x) { return at([](V v) { return log(v); }, x); };
  EXPECT_EQ(log_of(1.0f), 0.0f);
  EXPECT_EQ(log_of(0.0f), -kInfinity);
  EXPECT_EQ(log_of(-0.0f), -kInfinity);
  EXPECT_EQ(log_of(kInfinity), kInfinity);
  EXPECT_TRUE(std::isnan(log_of(-1.0f)));
  const auto tanh_of = [](float x) { return at([](V v) { return tanh(v); }, x); };
  EXPECT_EQ(tanh_of(kInfinity), 1.0f);
  EXPECT_EQ(tanh_of(-kInfinity), -1.0f);
  EXPECT_TRUE(std::signbit(tanh_of(-0.0f)));
  const auto erf_of = [](float x) { return at([](V v) { return erf(v); }, x); };
  EXPECT_EQ(erf_of(kInfinity), 1.0f);
  EXPECT_EQ(erf_of(-kInfinity), -1.0f);
  EXPECT_TRUE(std::signbit(erf_of(-0.0f)));
  const auto sigmoid_of = [](float x) { return at([](V v) { return sigmoid(v); }, x); };
  EXPECT_EQ(sigmoid_of(kInfinity), 1.0f);
  EXPECT_EQ(sigmoid_of(-kInfinity), 0.0f);
  EXPECT_EQ(sigmoid_of(0.0f), 0.5f);
  const auto softplus_of = [](float x) { return at([](V v) { return softplus(v); }, x); };
  EXPECT_EQ(softplus_of(kInfinity), kInfinity);
  EXPECT_EQ(softplus_of(-kInfinity), 0.0f);
}

TEST(MathTest, ANaNStaysOne) {
  for (const Case& c : cases()) EXPECT_TRUE(std::isnan(at(c.function, kNaN))) << c.name;
}

}  // namespace
}  // namespace lockstep::cpu::generic
