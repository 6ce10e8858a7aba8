// Transforms with given parameters against torchvision's results, and the boxes that random crops
// draw against the means and deviations of torchvision's draws (tests/golden/make_augment.py).
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "io/augment/colour.h"
#include "io/augment/crop.h"
#include "io/augment/erasing.h"
#include "tests/io/augment_images.h"

namespace lockstep {
namespace {

const nlohmann::json& golden() {
  static const auto data = nlohmann::json::parse(std::ifstream(
      std::filesystem::path(__FILE__).parent_path().parent_path() / "golden" / "augment.json"));
  return data;
}

// make_augment.py's pattern().
OwnedImage<std::uint8_t> pattern(std::int64_t channels) {
  OwnedImage<std::uint8_t> image(13, 17, channels);
  for (std::int64_t y = 0; y < image.height; ++y)
    for (std::int64_t x = 0; x < image.width; ++x)
      for (std::int64_t c = 0; c < channels; ++c)
        image.at(y, x, c) =
            static_cast<std::uint8_t>(37 * y * (c + 1) + 23 * x + 11 * x * y + 61 * c);
  return image;
}

void make(const std::string& name, const std::vector<double>& a, OwnedImage<std::uint8_t>& source,
          OwnedImage<std::uint8_t>& result) {
  AugmentWorkspace workspace;
  const ImageSpan from = source.image(), to = result.image();
  const auto integer = [&](std::size_t i) { return static_cast<std::int64_t>(a[i]); };
  if (name == "crop") return crop(from, integer(0), integer(1), a[2], to);
  if (name == "resize")
    return resize_box(from, {integer(0), integer(1), integer(2), integer(3)}, to, workspace);
  if (name == "rotate") return warp(from, inverse_affine_map({.degrees = -a[0]}, 13, 17), 0, to);
  if (name == "affine")
    return warp(from, inverse_affine_map({a[0], a[1], a[2], a[3], a[4], a[5]}, 13, 17), 0, to);
  result.pixels = source.pixels;
  if (name == "hflip") flip_horizontally(to);
  if (name == "vflip") flip_vertically(to);
  if (name == "brightness") adjust_brightness(to, a[0]);
  if (name == "contrast") adjust_contrast(to, a[0]);
  if (name == "saturation") adjust_saturation(to, a[0]);
  if (name == "hue") adjust_hue(to, a[0]);
}

TEST(AugmentGolden, TransformsAreTorchvisions) {
  ASSERT_GE(golden()["images"].size(), 30u);
  for (const auto& wanted : golden()["images"]) {
    SCOPED_TRACE(wanted["name"].get<std::string>() + " " +
                 wanted.value("arguments", nlohmann::json()).dump());
    const auto shape = wanted["shape"].get<std::vector<std::int64_t>>();
    OwnedImage<std::uint8_t> source = pattern(shape[2]), result(shape[0], shape[1], shape[2]);
    make(wanted["name"], wanted.value("arguments", std::vector<double>()), source, result);
    const auto pixels = wanted["pixels"].get<std::vector<int>>();
    ASSERT_EQ(pixels.size(), result.pixels.size());
    const int tolerance = wanted["tolerance"];
    for (std::size_t i = 0; i < pixels.size(); ++i)
      ASSERT_LE(std::abs(result.pixels[i] - pixels[i]), tolerance)
          << "element " << i << ": " << int{result.pixels[i]} << ", not " << pixels[i];
  }
}

TEST(AugmentGolden, BoxesAreDistributedAsTorchvisions) {
  constexpr int kDraws = 40000;
  const RandomResizedCrop usual({}, {0.08, 1}, {3.0 / 4, 4.0 / 3}),
      narrow({}, {0.9, 1}, {0.1, 0.2});
  const RandomErasing erasing({.p = 1});
  for (const auto& wanted : golden()["boxes"]) {
    const std::string name = wanted["name"];
    SCOPED_TRACE(name);
    const std::int64_t height = wanted["size"][0], width = wanted["size"][1];
    double sums[4] = {}, squares[4] = {};
    for (int draw = 0; draw < kDraws; ++draw) {
      const SampleRandom random(11, 3, draw, 2);
      const PixelBox box = name == "random_resized_crop" ? usual.box(random, height, width)
                           : name == "random_erasing"    ? erasing.box(random, height, width)
                                                         : narrow.box(random, height, width);
      const std::int64_t values[4] = {box.top, box.left, box.height, box.width};
      for (int i = 0; i < 4; ++i) {
        sums[i] += static_cast<double>(values[i]);
        squares[i] += static_cast<double>(values[i] * values[i]);
      }
    }
    for (std::size_t i = 0; i < 4; ++i) {
      const double mean = sums[i] / kDraws;
      const double deviation = std::sqrt(std::max(0.0, squares[i] / kDraws - mean * mean));
      // Five standard errors of the difference of two means; of deviations about as many.
      const double error = 5 * deviation * std::sqrt(2.0 / kDraws) + 1e-9;
      EXPECT_NEAR(mean, wanted["mean"][i].get<double>(), error) << i;
      EXPECT_NEAR(deviation, wanted["std"][i].get<double>(), error) << i;
    }
  }
}

}  // namespace
}  // namespace lockstep
