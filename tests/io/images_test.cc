// Decoding and resizing images: torchvision's pixels, every damage refused, no memory for claims.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>

#include "io/base/file.h"
#include "io/images/convert.h"
#include "io/images/decode.h"
#include "io/images/orientation.h"
#include "io/images/resize.h"
#include "tests/io/h5_files.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;

std::vector<std::uint8_t> from_base64(const std::string& text) {
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::vector<std::uint8_t> bytes;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    if (c == '=') break;
    bits = bits << 6 | static_cast<std::uint32_t>(digits.find(c));
    if ((count += 6) >= 8) bytes.push_back(static_cast<std::uint8_t>(bits >> (count -= 8)));
  }
  return bytes;
}

struct GoldenImage {
  std::string name;
  std::vector<std::uint8_t> file, pixels;
  FitOptions fit;
};

std::vector<GoldenImage> golden_images() {
  const auto tests = std::filesystem::path(__FILE__).parent_path().parent_path();
  const auto json = nlohmann::json::parse(read_text((tests / "golden" / "images.json").string()));
  std::vector<GoldenImage> images;
  for (const auto& image : json)
    images.push_back({image["name"],
                      from_base64(image["file"]),
                      from_base64(image["pixels"]),
                      {.shorter = image["shorter"], .size = image["size"]}});
  return images;
}

std::vector<std::uint8_t> fitted(std::span<const std::uint8_t> file, const FitOptions& fit) {
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(fit.size * fit.size * fit.channels));
  EncodedImage encoded(std::as_bytes(file), "image");
  ImageDecoder().decode_fitted(encoded, fit, pixels.data());
  return pixels;
}

TEST(Images, FitAsTorchvisionFitsThem) {
  const std::vector<GoldenImage> images = golden_images();
  EXPECT_EQ(images.size(), 25);
  for (const GoldenImage& image : images) {
    const std::vector<std::uint8_t> pixels = fitted(image.file, image.fit);
    ASSERT_EQ(pixels.size(), image.pixels.size()) << image.name;
    int most = 0;
    for (std::size_t i = 0; i < pixels.size(); ++i)
      most = std::max(most, std::abs(pixels[i] - image.pixels[i]));
    EXPECT_LE(most, 1) << image.name;
  }
}

TEST(Images, EveryTruncationIsRefusedOrWhole) {
  for (const GoldenImage& image : golden_images()) {
    const std::vector<std::uint8_t> whole = fitted(image.file, image.fit);
    std::size_t read = 0;
    for (std::size_t length = 0; length < image.file.size(); ++length) {
      // Copies of exact size, so that sanitizers see a byte read beyond them.
      const std::vector<std::uint8_t> part(
          image.file.begin(), image.file.begin() + static_cast<std::ptrdiff_t>(length));
      std::vector<std::uint8_t> pixels;
      if (error_of([&] { pixels = fitted(part, image.fit); }).empty()) {
        ++read;
        EXPECT_EQ(pixels, whole) << image.name << " of " << length << " bytes";
      }
    }
    EXPECT_LE(read, 4) << image.name;  // of a baseline JPEG the end marker alone may be missing
  }
}

TEST(Images, ClaimsAreRefusedBeforeMemoryIsTaken) {
  std::vector<std::uint8_t> file = golden_images().front().file;
  const std::uint8_t frame[] = {0xFF, 0xC0};
  const auto at = std::search(file.begin(), file.end(), frame, frame + 2);
  ASSERT_NE(at, file.end());
  for (int i = 0; i < 2; ++i) {  // height and width, high byte first
    at[5 + 2 * i] = 50000 >> 8;
    at[6 + 2 * i] = 50000 & 255;
  }
  EXPECT_THAT(error_of([&] { fitted(file, {}); }), HasSubstr("50000 x 50000 pixels"));
}

TEST(Images, ContentsDecideAndAreNamed) {
  const auto message = [](const std::string& bytes) {
    return error_of([&] { EncodedImage(std::as_bytes(std::span(bytes)), "a.jpg"); });
  };
  EXPECT_THAT(message(""), HasSubstr("a.jpg: the file is empty"));
  EXPECT_THAT(message("GIF89a......"), HasSubstr("GIF"));
  EXPECT_THAT(message("RIFF1234WEBP"), HasSubstr("WebP"));
  EXPECT_THAT(message("no image at all"), HasSubstr("no image"));
  EXPECT_THAT(message("\xFF\xD8\xFF"), HasSubstr("cannot read this as JPEG"));
  EXPECT_THAT(message("\x89PNG\r\n\x1A\n"), HasSubstr("cannot read this as PNG"));
}

// The sum itself, in double, with the one rounding between the passes.
std::vector<std::uint8_t> slow_axis(const std::vector<std::uint8_t>& from, std::int64_t lines,
                                    std::int64_t size, std::int64_t step, std::int64_t line_step,
                                    std::int64_t to_size, std::int64_t to_step,
                                    std::int64_t to_line_step) {
  std::vector<std::uint8_t> to(static_cast<std::size_t>(lines * to_size));
  const double scale = static_cast<double>(size) / static_cast<double>(to_size);
  const double width = std::max(1.0, scale);
  for (std::int64_t line = 0; line < lines; ++line)
    for (std::int64_t i = 0; i < to_size; ++i) {
      double sum = 0, weights = 0;
      for (std::int64_t j = 0; j < size; ++j) {
        const double distance =
            (static_cast<double>(j) + 0.5 - (static_cast<double>(i) + 0.5) * scale) / width;
        const double weight = std::max(0.0, 1 - std::abs(distance));
        sum += weight * from[static_cast<std::size_t>(line * line_step + j * step)];
        weights += weight;
      }
      to[static_cast<std::size_t>(line * to_line_step + i * to_step)] =
          static_cast<std::uint8_t>(std::lround(sum / weights));
    }
  return to;
}

TEST(Resize, IsTheTriangleFilter) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  Resizer resizer;
  for (int round = 0; round < 60; ++round) {
    const auto size = [&](int most) {
      return static_cast<std::int64_t>(1 + random() % static_cast<unsigned>(most));
    };
    const std::int64_t height = size(40), width = size(40), channels = size(4);
    const ResizePlan plan = ResizePlan::all(size(50), size(50));
    std::vector<std::uint8_t> from(static_cast<std::size_t>(height * width * channels));
    for (auto& value : from) value = static_cast<std::uint8_t>(random());
    std::vector<std::uint8_t> to(static_cast<std::size_t>(plan.height * plan.width * channels));
    resizer.resize({from.data(), height, width, channels, width * channels}, plan, to.data());
    // The first pass alone; a tie may be rounded otherwise in either pass.
    std::vector<std::uint8_t> wide(static_cast<std::size_t>(height * plan.width * channels));
    resizer.resize({from.data(), height, width, channels, width * channels},
                   ResizePlan::all(height, plan.width), wide.data());
    for (std::int64_t c = 0; c < channels; ++c) {
      const auto plane = [&](const std::vector<std::uint8_t>& pixels) {
        std::vector<std::uint8_t> values;
        for (auto i = static_cast<std::size_t>(c); i < pixels.size();
             i += static_cast<std::size_t>(channels))
          values.push_back(pixels[i]);
        return values;
      };
      const auto expect_ties = [](const std::vector<std::uint8_t>& expected,
                                  const std::vector<std::uint8_t>& actual) {
        ASSERT_EQ(expected.size(), actual.size());
        for (std::size_t i = 0; i < expected.size(); ++i)
          ASSERT_LE(std::abs(expected[i] - actual[i]), 1);
      };
      expect_ties(slow_axis(plane(from), height, width, 1, width, plan.width, 1, plan.width),
                  plane(wide));
      expect_ties(
          slow_axis(plane(wide), plan.width, height, plan.width, 1, plan.height, plan.width, 1),
          plane(to));
      if (HasFatalFailure()) return;
    }
    // A part of the result is that part.
    ResizePlan part = plan;
    part.top = static_cast<std::int64_t>(random()) % plan.height;
    part.left = static_cast<std::int64_t>(random()) % plan.width;
    part.part_height = plan.height - part.top;
    part.part_width = plan.width - part.left;
    const Places columns = resizer.columns(width, part);
    std::vector<std::uint8_t> cut(
        static_cast<std::size_t>(part.part_height * part.part_width * channels));
    const Places rows = resizer.rows(height, part);
    const ImageView looked_at =
        ImageView{from.data(), height, width, channels, width * channels}.part(
            rows.begin, columns.begin, rows.end - rows.begin, columns.end - columns.begin);
    resizer.resize_part(looked_at, {height, width, rows.begin, columns.begin}, part, cut.data());
    const std::int64_t row = part.part_width * channels;
    for (std::int64_t y = 0; y < part.part_height; ++y)
      ASSERT_TRUE(std::equal(cut.begin() + y * row, cut.begin() + (y + 1) * row,
                             to.begin() + ((part.top + y) * plan.width + part.left) * channels));
  }
}

// Every loop that this processor has, on sizes and cuts of which vectors leave remainders.
TEST(Resize, LoopsGiveTheSamePixels) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const auto upto = [&](std::int64_t most) {
    return 1 + static_cast<std::int64_t>(random()) % most;
  };
  std::vector<Resizer> resizers;
  for (int loops = 0; loops <= static_cast<int>(fastest_resize_loops()); ++loops)
    resizers.emplace_back(static_cast<ResizeLoops>(loops));
  for (int round = 0; round < 100; ++round) {
    const std::int64_t height = upto(200), width = upto(400), channels = upto(4);
    ResizePlan plan = ResizePlan::all(upto(150), upto(150));
    plan.top = upto(plan.height) - 1;
    plan.left = upto(plan.width) - 1;
    plan.part_height = upto(plan.height - plan.top);
    plan.part_width = upto(plan.width - plan.left);
    // Its exact size, so that sanitizers see a byte read beyond it; all white now and then, whose
    // sum is the largest.
    std::vector<std::uint8_t> from(static_cast<std::size_t>(height * width * channels), 255);
    if (round % 4 != 0)
      for (auto& value : from) value = static_cast<std::uint8_t>(random());
    const auto made = [&](Resizer& resizer) {
      std::vector<std::uint8_t> to(
          static_cast<std::size_t>(plan.part_height * plan.part_width * channels));
      resizer.resize({from.data(), height, width, channels, width * channels}, plan, to.data());
      return to;
    };
    const std::vector<std::uint8_t> plain = made(resizers.front());
    for (Resizer& resizer : resizers)
      ASSERT_EQ(made(resizer), plain)
          << height << " x " << width << " x " << channels << " to " << plan.part_height << " x "
          << plan.part_width << " of " << plan.height << " x " << plan.width;
  }
}

TEST(Resize, PlansAreTorchvisions) {
  const ResizePlan wide = ResizePlan::shorter_side_and_centre(375, 500, 256, 224);
  EXPECT_EQ(wide.height, 256);
  EXPECT_EQ(wide.width, 341);
  EXPECT_EQ(wide.top, 16);
  EXPECT_EQ(wide.left, 58);  // 58.5 to the even neighbour
  const ResizePlan tall = ResizePlan::shorter_side_and_centre(7, 3, 10, 9);
  EXPECT_EQ(tall.height, 23);
  EXPECT_EQ(tall.top, 7);
  EXPECT_EQ(tall.left, 0);  // 0.5
  EXPECT_THROW(ResizePlan::shorter_side_and_centre(7, 3, 10, 11), Error);
}

TEST(Images, ColoursBecomeGreyAndBack) {
  const std::vector<std::uint8_t> pixel = {200, 100, 50, 7};
  const ImageView colours{pixel.data(), 1, 1, 4, 4};
  Image to;
  const auto converted = [&](const ImageView& from, std::int64_t channels) {
    convert_channels(from, channels, to);
    return std::vector<std::uint8_t>(to.row(0), to.row(0) + channels);
  };
  EXPECT_EQ(converted(colours, 1), std::vector<std::uint8_t>({124}));
  EXPECT_EQ(converted(colours, 2), std::vector<std::uint8_t>({124, 7}));
  EXPECT_EQ(converted(colours, 3), std::vector<std::uint8_t>({200, 100, 50}));
  const ImageView grey{pixel.data(), 1, 1, 1, 1};
  EXPECT_EQ(converted(grey, 3), std::vector<std::uint8_t>({200, 200, 200}));
  EXPECT_EQ(converted(grey, 4), std::vector<std::uint8_t>({200, 200, 200, 255}));
}

TEST(Images, OrientationsOfExif) {
  const std::vector<std::uint8_t> two_by_three = {1, 2, 3,  //
                                                  4, 5, 6};
  const std::vector<std::vector<std::uint8_t>> upright = {
      {1, 2, 3, 4, 5, 6}, {3, 2, 1, 6, 5, 4}, {6, 5, 4, 3, 2, 1}, {4, 5, 6, 1, 2, 3},
      {1, 4, 2, 5, 3, 6}, {4, 1, 5, 2, 6, 3}, {6, 3, 5, 2, 4, 1}, {3, 6, 2, 5, 1, 4}};
  Image to;
  for (int orientation = 1; orientation <= 8; ++orientation) {
    make_upright({two_by_three.data(), 2, 3, 1, 3}, orientation, to);
    EXPECT_EQ(to.height(), orientation < 5 ? 2 : 3);
    EXPECT_EQ(std::vector<std::uint8_t>(to.row(0), to.row(0) + 6),
              upright[static_cast<std::size_t>(orientation - 1)])
        << orientation;
  }
  std::string exif("MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0", 22);
  const auto orientation = [&] { return exif_orientation(std::as_bytes(std::span(exif))); };
  EXPECT_EQ(orientation(), 6);
  exif[19] = 9;
  EXPECT_EQ(orientation(), 1);
  exif.resize(15);
  EXPECT_EQ(orientation(), 1);
}

TEST(Images, FitsTravelAsJson) {
  const FitOptions fit{.shorter = 256, .size = 224, .channels = 1, .fast = true};
  const auto back = fit_from_json(to_json(fit));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(to_json(*back), to_json(fit));
  EXPECT_FALSE(fit_from_json("").has_value());
  EXPECT_FALSE(fit_from_json("{\"columns\": []}").has_value());
  EXPECT_THROW(fit_from_json("{\"image\": {}}"), Error);
}

}  // namespace
}  // namespace lockstep
