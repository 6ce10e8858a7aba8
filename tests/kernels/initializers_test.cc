// Initialisers: known values, moments, bounds, and that an element's number depends on nothing but
// its key and place.
#include "kernels/core/initializers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/core/error.h"

namespace lockstep {
namespace {

std::vector<float> filled(const Initializer& initializer, std::size_t count, RandomKey key = {}) {
  std::vector<float> values(count, NAN);
  initializer.fill(key, values);
  return values;
}

struct Moments {
  double mean = 0, deviation = 0;
};

Moments moments_of(const std::vector<float>& values) {
  const auto count = static_cast<double>(values.size());
  Moments m;
  for (const float x : values) m.mean += static_cast<double>(x) / count;
  double squares = 0;
  for (const float x : values) squares += (x - m.mean) * (x - m.mean);
  m.deviation = std::sqrt(squares / count);
  return m;
}

// Python's statistics.NormalDist().inv_cdf, which implements the same algorithm.
TEST(NormalQuantileTest, AgreesWithPythons) {
  EXPECT_NEAR(normal_quantile(1e-10), -6.361340902404056, 1e-14);
  EXPECT_NEAR(normal_quantile(0.001), -3.090232306167813, 1e-14);
  EXPECT_NEAR(normal_quantile(0.08), -1.4050715603096322, 1e-14);
  EXPECT_NEAR(normal_quantile(0.3), -0.5244005127080407, 1e-15);
  EXPECT_EQ(normal_quantile(0.5), 0.0);
  EXPECT_NEAR(normal_quantile(0.93), 1.4757910281791708, 1e-14);
  EXPECT_NEAR(normal_quantile(0.999999), 4.753424308817089, 1e-13);
}

// Φ(quantile(p)) = p, with the C library's erfc as the judge.
TEST(NormalQuantileTest, InvertsTheDistribution) {
  for (double p = 0x1p-33; p < 1; p = p * 1.37 + 1e-12) {
    const double back = 0.5 * std::erfc(-normal_quantile(p) / std::sqrt(2.0));
    EXPECT_NEAR(back / p, 1, 1e-13) << p;
  }
}

TEST(NormalQuantileTest, RefusesTheEnds) {
  EXPECT_THROW(normal_quantile(0), Error);
  EXPECT_THROW(normal_quantile(1), Error);
}

TEST(InitializerTest, NormalHasItsMoments) {
  const std::size_t count = 200'000;
  const Moments m = moments_of(filled(normal_values(3, 0.5), count, {.seed = 1}));
  EXPECT_NEAR(m.mean, 3, 5 * 0.5 / std::sqrt(static_cast<double>(count)));
  EXPECT_NEAR(m.deviation, 0.5, 5 * 0.5 / std::sqrt(2.0 * static_cast<double>(count)));
}

TEST(InitializerTest, UniformFillsItsInterval) {
  const auto values = filled(uniform_values(-2, 1), 100'000, {.seed = 2});
  const auto [low, high] = std::ranges::minmax(values);
  EXPECT_GE(low, -2);
  EXPECT_LE(high, 1);
  EXPECT_LT(low, -1.999);
  EXPECT_GT(high, 0.999);
  EXPECT_NEAR(moments_of(values).mean, -0.5, 0.02);
}

TEST(InitializerTest, AnElementDependsOnItsKeyAndPlaceAlone) {
  const RandomKey key{.seed = 42, .layer = 5};
  const auto all = filled(normal_values(0, 1), 103, key);
  for (const std::size_t count : {1, 2, 3, 4, 5, 101}) {
    const auto some = filled(normal_values(0, 1), count, key);
    EXPECT_TRUE(std::equal(some.begin(), some.end(), all.begin())) << count;
  }
  EXPECT_NE(all, filled(normal_values(0, 1), 103, {.seed = 43, .layer = 5}));
  EXPECT_NE(all, filled(normal_values(0, 1), 103, {.seed = 42, .layer = 6}));
}

// The numbers are part of the promise: whoever changes them changes every network that was trained.
TEST(InitializerTest, TheNumbersStay) {
  const RandomKey key{.seed = 0, .layer = 0};
  const auto uniform = filled(uniform_values(0, 1), 4, key);
  const PhiloxBlock words = philox4x32({0, 0, 0, 1u << 28}, {0, 0});
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_EQ(uniform[i], static_cast<float>((words[i] + 0.5) / 4294967296.0));
}

TEST(InitializerTest, TruncatedNormalDrawsAgainWhatLiesBeyondItsBounds) {
  const std::size_t count = 100'000;
  const auto whole = filled(normal_values(0, 1), count, {.seed = 3});
  const auto cut = filled(truncated_normal_values(0, 1, -1, 1.5), count, {.seed = 3});
  std::size_t beyond = 0;
  for (std::size_t i = 0; i < count; ++i) {
    ASSERT_GE(cut[i], -1);
    ASSERT_LE(cut[i], 1.5f);
    const bool inside = whole[i] >= -1 && whole[i] <= 1.5f;
    ASSERT_TRUE(!inside || cut[i] == whole[i]) << i;
    beyond += inside ? 0 : 1;
  }
  EXPECT_NEAR(static_cast<double>(beyond) / count, 0.1587 + 0.0668, 0.01);
  // φ(-1) = 0.24197, φ(1.5) = 0.12952, Φ(1.5) - Φ(-1) = 0.77454.
  EXPECT_NEAR(moments_of(cut).mean, (0.24197 - 0.12952) / 0.77454, 0.01);
  // Nothing is cut at a hundred deviations.
  EXPECT_EQ(filled(truncated_normal_values(0, 0.02, -2, 2), 999, {.seed = 4}),
            filled(normal_values(0, 0.02), 999, {.seed = 4}));
  EXPECT_THROW(truncated_normal_values(0, 1, 1, 2), Error);
}

TEST(InitializerTest, ConstantIsTheSameEverywhere) {
  for (const float x : filled(constant_values(1.5), 9)) EXPECT_EQ(x, 1.5f);
}

TEST(InitializerTest, FansFollowTheFilesShape) {
  EXPECT_EQ(fans_of({32, 16, 5, 3}).in, 16 * 15);
  EXPECT_EQ(fans_of({32, 16, 5, 3}).out, 32 * 15);
  EXPECT_EQ(fans_of({10, 784}).in, 784);
  EXPECT_THROW(fans_of({10}), Error);
}

TEST(InitializerTest, ScalesAreThoseOfTheLiterature) {
  const Shape shape{64, 32, 3, 3};
  EXPECT_DOUBLE_EQ(kaiming_normal(shape).second, std::sqrt(2.0 / 288));
  EXPECT_DOUBLE_EQ(kaiming_uniform(shape).second, std::sqrt(6.0 / 288));
  EXPECT_DOUBLE_EQ(xavier_normal(shape).second, std::sqrt(2.0 / (288 + 576)));
  EXPECT_DOUBLE_EQ(xavier_uniform(shape, 2).second, 2 * std::sqrt(6.0 / (288 + 576)));
  EXPECT_DOUBLE_EQ(kaiming_normal_fan_out(shape).second, std::sqrt(2.0 / 576));
  EXPECT_DOUBLE_EQ(kaiming_normal_fan_out({64, 1, 3, 3}, 64).second, std::sqrt(2.0 / 9));
  EXPECT_DOUBLE_EQ(torch_default_weight(784).second, 1 / 28.0);
  EXPECT_DOUBLE_EQ(torch_default_bias(784).first, -1 / 28.0);
  EXPECT_THROW(torch_default_weight(0), Error);
}

}  // namespace
}  // namespace lockstep
