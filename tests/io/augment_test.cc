// Transforms against naive ones in double on random images, what they draw, and errors.
#include <gtest/gtest.h>

#include <cmath>

#include "io/augment/affine.h"
#include "io/augment/augmentation.h"
#include "io/augment/centre_view.h"
#include "io/augment/colour.h"
#include "io/augment/crop.h"
#include "io/augment/erasing.h"
#include "tests/io/augment_images.h"
#include "tests/io/h5_files.h"

namespace lockstep {
namespace {

class Augment : public testing::Test {
 protected:
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random_()) % (high - low + 1);
  }

  std::uint32_t seed_ = std::random_device{}();
  testing::ScopedTrace trace_{__FILE__, __LINE__, seed_};
  std::mt19937 random_{seed_};
};

// The level at a place between pixels; `outside` decides what lies beyond the edges.
template <typename Outside>
double bilinear(double y, double x, std::int64_t c, const Outside& outside) {
  const double top = std::floor(y), left = std::floor(x);
  double sum = 0;
  for (int dy = 0; dy < 2; ++dy)
    for (int dx = 0; dx < 2; ++dx) {
      const double weight = (dy ? y - top : 1 - (y - top)) * (dx ? x - left : 1 - (x - left));
      sum += weight *
             outside(static_cast<std::int64_t>(top) + dy, static_cast<std::int64_t>(left) + dx, c);
    }
  return sum;
}

template <typename T>
void expect_resized(OwnedImage<T>& from, const PixelBox& box, OwnedImage<T>& to, double tolerance) {
  const auto edge = [&](std::int64_t y, std::int64_t x, std::int64_t c) {
    return static_cast<double>(from.at(box.top + std::clamp<std::int64_t>(y, 0, box.height - 1),
                                       box.left + std::clamp<std::int64_t>(x, 0, box.width - 1),
                                       c));
  };
  for (std::int64_t y = 0; y < to.height; ++y)
    for (std::int64_t x = 0; x < to.width; ++x)
      for (std::int64_t c = 0; c < to.channels; ++c) {
        const auto place = [](std::int64_t i, std::int64_t stored, std::int64_t made) {
          return (static_cast<double>(i) + 0.5) * static_cast<double>(stored) /
                     static_cast<double>(made) -
                 0.5;
        };
        const double wanted =
            bilinear(place(y, box.height, to.height), place(x, box.width, to.width), c, edge);
        ASSERT_NEAR(static_cast<double>(to.at(y, x, c)), wanted, tolerance) << y << " " << x;
      }
}

TEST_F(Augment, ResizeIsBilinear) {
  AugmentWorkspace workspace;
  for (int trial = 0; trial < 30; ++trial) {
    const std::int64_t height = between(1, 30), width = between(1, 30), channels = between(1, 4);
    PixelBox box{0, 0, between(1, height), between(1, width)};
    box.top = between(0, height - box.height);
    box.left = between(0, width - box.width);
    const std::int64_t to_height = between(1, 40), to_width = between(1, 40);
    auto bytes = random_image<std::uint8_t>(random_, height, width, channels);
    OwnedImage<std::uint8_t> small(to_height, to_width, channels);
    resize_box(bytes.image(), box, small.image(), workspace);
    expect_resized(bytes, box, small, 0.75);
    auto floats = random_image<float>(random_, height, width, channels);
    OwnedImage<float> made(to_height, to_width, channels);
    resize_box(floats.image(), box, made.image(), workspace);
    expect_resized(floats, box, made, 0.25);
  }
}

TEST_F(Augment, WarpIsBilinear) {
  for (int trial = 0; trial < 20; ++trial) {
    const std::int64_t height = between(2, 20), width = between(2, 20);
    auto from = random_image<std::uint8_t>(random_, height, width, 3);
    OwnedImage<std::uint8_t> to(height, width, 3);
    const AffineParameters parameters{
        static_cast<double>(between(-180, 180)) + 0.3, static_cast<double>(between(-5, 5)),
        static_cast<double>(between(-5, 5)),           static_cast<double>(between(5, 20)) / 10,
        static_cast<double>(between(-40, 40)),         0};
    const AffineMap map = inverse_affine_map(parameters, height, width);
    warp(from.image(), map, 77, to.image());
    const auto filled = [&](std::int64_t y, std::int64_t x, std::int64_t c) {
      const bool inside = y >= 0 && x >= 0 && y < height && x < width;
      return inside ? static_cast<double>(from.at(y, x, c)) : 77.0;
    };
    for (std::int64_t y = 0; y < height; ++y)
      for (std::int64_t x = 0; x < width; ++x)
        for (std::int64_t c = 0; c < 3; ++c) {
          const auto dx = static_cast<double>(x), dy = static_cast<double>(y);
          const double wanted = bilinear(map[3] * dx + map[4] * dy + map[5],
                                         map[0] * dx + map[1] * dy + map[2], c, filled);
          ASSERT_NEAR(static_cast<double>(to.at(y, x, c)), wanted, 0.8) << y << " " << x;
        }
  }
}

TEST_F(Augment, CropAndFlip) {
  for (int trial = 0; trial < 40; ++trial) {
    const std::int64_t height = between(1, 12), width = between(1, 12), channels = between(1, 4);
    auto from = random_image<float>(random_, height, width, channels);
    OwnedImage<float> to(between(1, 16), between(1, 16), channels);
    const std::int64_t top = between(-18, 18), left = between(-18, 18);
    crop(from.image(), top, left, -3.5, to.image());
    for (std::int64_t y = 0; y < to.height; ++y)
      for (std::int64_t x = 0; x < to.width; ++x)
        for (std::int64_t c = 0; c < channels; ++c) {
          const std::int64_t sy = top + y, sx = left + x;
          const bool inside = sy >= 0 && sx >= 0 && sy < height && sx < width;
          ASSERT_EQ(to.at(y, x, c), inside ? from.at(sy, sx, c) : -3.5f);
        }
    auto flipped = from;
    flip_horizontally(flipped.image());
    flip_vertically(flipped.image());
    for (std::int64_t y = 0; y < height; ++y)
      for (std::int64_t x = 0; x < width; ++x)
        for (std::int64_t c = 0; c < channels; ++c)
          ASSERT_EQ(flipped.at(height - 1 - y, width - 1 - x, c), from.at(y, x, c));
  }
}

// Each of `count` values about equally often: five deviations of a binomial count.
void expect_uniform(const std::vector<int>& counts, int draws) {
  const double p = 1.0 / static_cast<double>(counts.size());
  const double tolerance = 5 * std::sqrt(draws * p * (1 - p));
  for (std::size_t i = 0; i < counts.size(); ++i)
    EXPECT_NEAR(counts[i], draws * p, tolerance) << "value " << i;
}

TEST_F(Augment, RandomCropsComeFromAnywhere) {
  // The image holds its own coordinates, so that a crop's first pixel says where it is from.
  OwnedImage<std::uint8_t> from(6, 7, 2), to(6, 7, 2);
  for (std::int64_t y = 0; y < 6; ++y)
    for (std::int64_t x = 0; x < 7; ++x) from.at(y, x, 0) = 10, from.at(y, x, 1) = 20;
  from.at(3, 3, 0) = 1;
  const RandomCrop crop(std::nullopt, 2, 99);
  constexpr int kDraws = 20000;
  std::vector<int> places(25);
  AugmentWorkspace workspace;
  for (int draw = 0; draw < kDraws; ++draw) {
    crop.apply(SampleRandom(seed_, 0, draw, 0), from.image(), to.image(), workspace);
    for (std::int64_t y = 1; y <= 5; ++y)
      for (std::int64_t x = 1; x <= 5; ++x)
        if (to.at(y, x, 0) == 1) ++places[static_cast<std::size_t>((y - 1) * 5 + x - 1)];
  }
  expect_uniform(places, kDraws);
}

TEST_F(Augment, FlipsHappenAsOftenAsAsked) {
  OwnedImage<std::uint8_t> image(1, 2, 1);
  AugmentWorkspace workspace;
  int flipped = 0;
  constexpr int kDraws = 20000;
  for (int draw = 0; draw < kDraws; ++draw) {
    image.pixels = {0, 1};
    RandomFlip(RandomFlip::Axis::kHorizontal, 0.3)
        .apply(SampleRandom(seed_, 1, draw, 4), image.image(), image.image(), workspace);
    flipped += image.pixels[0];
  }
  EXPECT_NEAR(flipped, kDraws * 0.3, 5 * std::sqrt(kDraws * 0.21));
}

TEST_F(Augment, AffineParametersStayInTheirBounds) {
  const RandomAffine affine({.degrees = {-10, 30},
                             .translate_x = 0.25,
                             .translate_y = 0.1,
                             .scale = {0.5, 2},
                             .shear = {-5, 5}});
  double degrees = 0, shift = 0;
  constexpr int kDraws = 20000;
  for (int draw = 0; draw < kDraws; ++draw) {
    const AffineParameters p = affine.parameters(SampleRandom(seed_, 0, draw, 0), 50, 40);
    ASSERT_TRUE(p.degrees > -10 && p.degrees < 30 && std::abs(p.shift_x) <= 10 &&
                std::abs(p.shift_y) <= 5 && p.scale > 0.5 && p.scale < 2 &&
                std::abs(p.shear_x) < 5);
    ASSERT_EQ(p.shift_x, std::round(p.shift_x));
    degrees += p.degrees;
    shift += p.shift_x;
  }
  EXPECT_NEAR(degrees / kDraws, 10, 5 * 40 / std::sqrt(12.0 * kDraws));
  EXPECT_NEAR(shift / kDraws, 0, 5 * 20 / std::sqrt(12.0 * kDraws));
}

TEST_F(Augment, PaintedBoxes) {
  auto image = random_image<std::uint8_t>(random_, 9, 8, 3);
  auto copy = image;
  paint(image.image(), {2, 3, 4, 5}, {1, 2, 3});
  for (std::int64_t y = 0; y < 9; ++y)
    for (std::int64_t x = 0; x < 8; ++x)
      for (std::int64_t c = 0; c < 3; ++c) {
        const bool inside = y >= 2 && y < 6 && x >= 3;
        ASSERT_EQ(int{image.at(y, x, c)}, inside ? c + 1 : copy.at(y, x, c));
      }
  const Cutout cutout(4, 0.5, {0});
  int nothing = 0;
  constexpr int kDraws = 4000;
  for (int draw = 0; draw < kDraws; ++draw) {
    const PixelBox box = cutout.box(SampleRandom(seed_, 0, draw, 0), 9, 8);
    if (box == PixelBox{}) {
      ++nothing;
      continue;
    }
    EXPECT_TRUE(box.top >= 0 && box.left >= 0 && box.top + box.height <= 9 &&
                box.left + box.width <= 8 && box.height >= 2 && box.width >= 2 && box.height <= 4 &&
                box.width <= 4);
  }
  EXPECT_NEAR(nothing, kDraws / 2, 5 * std::sqrt(kDraws * 0.25));
}

TEST_F(Augment, JitterOfNothingChangesNothing) {
  auto image = random_image<std::uint8_t>(random_, 8, 8, 3);
  const auto before = image.pixels;
  AugmentWorkspace workspace;
  ColourJitter({}).apply(SampleRandom(seed_, 0, 0, 0), image.image(), image.image(), workspace);
  EXPECT_EQ(image.pixels, before);
  ColourJitter({.brightness = {0.5, 0.5}})
      .apply(SampleRandom(seed_, 0, 0, 0), image.image(), image.image(), workspace);
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_EQ(image.pixels[i], before[i] / 2);
}

TEST(AugmentCentre, Plans) {
  const auto plan = [](std::int64_t stored_height, std::int64_t stored_width, std::int64_t height,
                       std::int64_t width) {
    const ResizePlan plan = centre_plan(stored_height, stored_width, height, width);
    EXPECT_EQ(plan.part_height, height);
    EXPECT_EQ(plan.part_width, width);
    return std::vector<std::int64_t>{plan.height, plan.width, plan.top, plan.left};
  };
  using Numbers = std::vector<std::int64_t>;
  EXPECT_EQ(plan(256, 256, 224, 224), (Numbers{256, 256, 16, 16}));
  EXPECT_EQ(plan(512, 512, 224, 224), (Numbers{256, 256, 16, 16}));
  EXPECT_EQ(plan(240, 240, 224, 224), (Numbers{240, 240, 8, 8}));
  EXPECT_EQ(plan(128, 128, 224, 224), (Numbers{224, 224, 0, 0}));
  EXPECT_EQ(plan(256, 320, 224, 224), (Numbers{256, 320, 16, 48}));
  EXPECT_EQ(plan(480, 640, 224, 224), (Numbers{256, 341, 16, 58}));
  EXPECT_EQ(plan(40, 32, 16, 32), (Numbers{40, 32, 12, 0}));
}

// Strong reductions are antialiased: of a chequered board of single pixels grey is left.
TEST_F(Augment, CentreViewsAreAntialiased) {
  constexpr std::int64_t kStored = 160, kSize = 28;
  for (const std::int64_t channels : {1, 3, 5}) {
    const Shape shape{kStored, kStored, channels}, sample{kSize, kSize, channels};
    const auto bytes = std::make_shared<MemoryRows>(random_, 2, shape, DType::kUInt8, 4);
    const auto floats = std::make_shared<MemoryRows>(random_, 2, shape, DType::kFloat32, 4);
    for (std::int64_t i = 0; i < bytes->x_.elements(); ++i) {
      const std::int64_t pixel = i / channels, row = pixel / kStored, column = pixel % kStored;
      if (i < shape.elements())  // the second image is noise
        bytes->x_.data<std::uint8_t>()[i] = (row + column) % 2 == 0 ? 255 : 0;
      floats->x_.data<float>()[i] = bytes->x_.data<std::uint8_t>()[i];
    }
    const auto seen = [&](const std::shared_ptr<MemoryRows>& rows) {
      Tensor x = host_tensor(sample.with_rows(2), rows->x_type());
      Tensor y = host_tensor({2}, DType::kInt64), none;
      centre_view(rows, sample)->read(std::vector<std::int64_t>{0, 1}, x, y, none);
      return x;
    };
    const Tensor from_bytes = seen(bytes), from_floats = seen(floats);
    for (std::int64_t i = 0; i < from_bytes.elements(); ++i) {
      const double byte = from_bytes.data<std::uint8_t>()[i];
      ASSERT_NEAR(byte, from_floats.data<float>()[i], 1.01) << channels << " channels, " << i;
      if (i < sample.elements()) {
        ASSERT_NEAR(byte, 127.5, 3) << channels << " channels, " << i;
      }
    }
  }
}

TEST_F(Augment, CentreViewsAreCropsWhereTheyCanBe) {
  const auto rows = std::make_shared<MemoryRows>(random_, 3, Shape{32, 32, 3}, DType::kUInt8, 4);
  const auto view = centre_view(rows, {28, 28, 3});
  ASSERT_EQ(view->sample_shape(), (Shape{28, 28, 3}));
  Tensor x = host_tensor({2, 28, 28, 3}, DType::kUInt8), y = host_tensor({2}, DType::kInt64), none;
  const std::vector<std::int64_t> asked{2, 0};
  view->read(asked, x, y, none);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(y.data<std::int64_t>()[i], rows->y_.data<std::int64_t>()[asked[i]]);
    for (std::int64_t h = 0; h < 28; ++h)
      for (std::int64_t e = 0; e < 28 * 3; ++e)
        ASSERT_EQ(x.data<std::uint8_t>()[(static_cast<std::int64_t>(i) * 28 + h) * 84 + e],
                  rows->x_.data<std::uint8_t>()[(asked[i] * 32 + h + 2) * 96 + 6 + e]);
  }
}

template <typename Transform, typename... Arguments>
std::string refusal(const Dataset& dataset, Arguments&&... arguments) {
  AugmentOptions options;
  options.steps.push_back(
      {std::make_shared<Transform>(std::forward<Arguments>(arguments)...), "a.toml:3: here"});
  return error_of([&] { Augmentation(options, dataset, 4); });
}

TEST_F(Augment, WhatDoesNotFitIsNamed) {
  const MemoryRows vectors(random_, 2, {12}, DType::kFloat32, 4);
  const MemoryRows grey(random_, 2, {8, 8, 1}, DType::kUInt8, 4);
  const MemoryRows floats(random_, 2, {8, 8, 3}, DType::kFloat32, 4);
  EXPECT_EQ(refusal<RandomFlip>(vectors, RandomFlip::Axis::kHorizontal, 0.5),
            "a.toml:3: here: it takes images (height, width, channels), but the samples are (12)");
  EXPECT_NE(refusal<RandomCrop>(grey, ImageSize{9, 8}, 0, 0.0).find("does not fit into 8 x 8"),
            std::string::npos);
  EXPECT_NE(refusal<RandomCrop>(grey, std::nullopt, 1, 0.5).find("from 0 to 255, not 0.5"),
            std::string::npos);
  EXPECT_NE(refusal<ColourJitter>(floats, ColourJitterOptions{}).find("float32"),
            std::string::npos);
  EXPECT_NE(refusal<ColourJitter>(grey, ColourJitterOptions{.hue = {-0.1, 0.1}}).find("grey"),
            std::string::npos);
  EXPECT_NE(refusal<Cutout>(grey, 3, 1.0, std::vector<double>{1, 2, 3}).find("3 numbers"),
            std::string::npos);
  AugmentOptions cut;
  cut.mix.cutmix_alpha = 1;
  cut.mix_where = "there";
  EXPECT_NE(error_of([&] { Augmentation(cut, vectors, 4); }).find("there: it takes images"),
            std::string::npos);
}

}  // namespace
}  // namespace lockstep
