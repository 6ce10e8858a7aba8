// Mixup and cutmix: shares, partners, pixels, targets and weights against naive ones.
#include "io/augment/mixing.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "io/augment/augmentation.h"
#include "tests/io/augment_images.h"

namespace lockstep {
namespace {

class Mixing : public testing::Test {
 protected:
  std::uint32_t seed_ = std::random_device{}();
  testing::ScopedTrace trace_{__FILE__, __LINE__, seed_};
  std::mt19937 random_{seed_};
};

TEST_F(Mixing, SharesAreBetaDistributed) {
  constexpr int kDraws = 20000;
  for (const double alpha : {0.1, 0.4, 1.0, 2.0, 20.0}) {
    double sum = 0, squares = 0, fourth = 0;
    for (int draw = 0; draw < kDraws; ++draw) {
      SampleRandom random(seed_, 2, draw, 1);
      const double share = draw_beta(random, alpha);
      ASSERT_TRUE(share >= 0 && share <= 1);
      const double off = share - 0.5;
      sum += off;
      squares += off * off;
      fourth += off * off * off * off;
    }
    // Var = 1 / (4 (2α + 1)); the fourth central moment is 3 / (16 (2α + 1) (2α + 3)).
    const double variance = 1 / (4 * (2 * alpha + 1));
    const double moment = 3 / (16 * (2 * alpha + 1) * (2 * alpha + 3));
    EXPECT_NEAR(sum / kDraws, 0, 5 * std::sqrt(variance / kDraws)) << alpha;
    EXPECT_NEAR(squares / kDraws, variance, 5 * std::sqrt((moment - variance * variance) / kDraws))
        << alpha;
    EXPECT_NEAR(fourth / kDraws, moment, 0.05 * moment + 1e-4) << alpha;
  }
}

TEST_F(Mixing, PartnersAreOneCycle) {
  for (std::size_t rows = 1; rows < 40; ++rows) {
    std::vector<std::int32_t> partners(rows);
    draw_partners(SampleRandom(seed_, 5, static_cast<std::int64_t>(rows), 1), partners);
    std::size_t at = 0, length = 0;
    do {
      at = static_cast<std::size_t>(partners[at]);
      ++length;
    } while (at != 0 && length <= rows);
    EXPECT_EQ(length, rows);
  }
}

TEST_F(Mixing, PixelsOfBoth) {
  const Shape sample{6, 5, 3};
  for (const DType type : {DType::kUInt8, DType::kFloat32}) {
    const MemoryRows rows(random_, 2, sample, type, 3);
    const Tensor out = host_tensor(sample, type);
    const std::byte* const own = rows.x_.raw();
    const std::byte* const partner = own + out.bytes();
    const auto value = [&](const std::byte* data, std::int64_t i) {
      return type == DType::kUInt8 ? static_cast<double>(static_cast<std::uint8_t>(data[i]))
                                   : static_cast<double>(reinterpret_cast<const float*>(data)[i]);
    };
    mix_elements({.share = 8192, .box = {}}, sample, type, own, partner, out.raw());
    for (std::int64_t i = 0; i < sample.elements(); ++i)
      EXPECT_NEAR(value(out.raw(), i), 0.25 * value(own, i) + 0.75 * value(partner, i),
                  type == DType::kUInt8 ? 0.5 : 1e-5);
    mix_elements({.share = 0, .cut = true, .box = {1, 2, 3, 2}}, sample, type, own, partner,
                 out.raw());
    for (std::int64_t i = 0; i < sample.elements(); ++i) {
      const std::int64_t y = i / 15, x = i / 3 % 5;
      const bool inside = y >= 1 && y < 4 && x >= 2 && x < 4;
      EXPECT_EQ(value(out.raw(), i), value(inside ? partner : own, i));
    }
  }
}

TEST_F(Mixing, CutSharesAreAreas) {
  const MixOptions options{.mixup_alpha = 0.7, .cutmix_alpha = 1, .mixup_p = 1, .cutmix_p = 0.5};
  int cut = 0, average = 0, none = 0;
  constexpr int kDraws = 8000;
  for (int draw = 0; draw < kDraws; ++draw) {
    const Mix mix = draw_mix(SampleRandom(seed_, 1, draw, 0), options, {20, 30, 3});
    if (!mix.cut) {
      ++(mix.share == Mix::kWhole && mix.box == PixelBox{} ? none : average);
      continue;
    }
    ++cut;
    ASSERT_TRUE(mix.box.top >= 0 && mix.box.left >= 0 && mix.box.height >= 0 &&
                mix.box.width >= 0 && mix.box.top + mix.box.height <= 20 &&
                mix.box.left + mix.box.width <= 30);
    const auto area = static_cast<double>(mix.box.height * mix.box.width);
    ASSERT_NEAR(mix.share, Mix::kWhole * (1 - area / 600), 0.5);
  }
  const double tolerance = 5 * std::sqrt(kDraws * 0.25);
  EXPECT_NEAR(cut, kDraws / 4, tolerance);
  EXPECT_NEAR(none, kDraws / 4, tolerance);
  EXPECT_NEAR(average, kDraws / 2, tolerance);
}

// The loss of a mixed row, weight · Σ target · l, is the weighted mean of both rows' losses.
TEST_F(Mixing, TargetsAndWeights) {
  for (const std::int64_t classes : {4, 0}) {
    for (const bool weighted : {false, true}) {
      const MemoryRows rows(random_, 9, {4, 4, 1}, DType::kUInt8, classes, weighted);
      AugmentOptions options;
      options.mix.mixup_alpha = 1;
      options.seed = seed_;
      const Augmentation augmentation(options, rows, classes);
      const std::int64_t columns = classes > 0 ? classes : 2;
      ASSERT_EQ(augmentation.target(), TargetKind::kValues);
      ASSERT_EQ(augmentation.target_columns(), columns);
      PlainRows out{host_tensor({9, 4, 4, 1}, DType::kUInt8),
                    host_tensor({9, columns}, DType::kFloat32),
                    weighted ? host_tensor({9}, DType::kFloat32) : Tensor()};
      std::vector<std::int64_t> ids(9);
      std::iota(ids.begin(), ids.end(), 100);
      const Augmentation::Place place{3, 17, 2};
      augmentation.mix({rows.x_, rows.y_, rows.weight_}, ids, place, out);
      const auto pairs = augmentation.pairs(ids, place);
      const auto target = [&](std::int64_t row, std::int64_t c) {
        if (classes == 0) return static_cast<double>(rows.y_.data<float>()[row * 2 + c]);
        return rows.y_.data<std::int64_t>()[row] == c ? 1.0 : 0.0;
      };
      const auto weight = [&](std::int64_t row) {
        return weighted ? static_cast<double>(rows.weight_.data<float>()[row]) : 1.0;
      };
      for (std::int64_t row = 0; row < 9; ++row) {
        const auto& [mix, partner] = pairs[static_cast<std::size_t>(row)];
        EXPECT_NE(partner, row);
        const double share = static_cast<double>(mix.share) / Mix::kWhole;
        const double first = share * weight(row), second = (1 - share) * weight(partner);
        const double total = weighted ? static_cast<double>(out.weight.data<float>()[row]) : 1.0;
        EXPECT_NEAR(total, first + second, 1e-6);
        for (std::int64_t c = 0; c < columns; ++c)
          EXPECT_NEAR(total * static_cast<double>(out.y.data<float>()[row * columns + c]),
                      first * target(row, c) + second * target(partner, c), 2e-4);
      }
    }
  }
}

}  // namespace
}  // namespace lockstep
