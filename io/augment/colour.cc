#include "io/augment/colour.h"

#include <algorithm>
#include <array>

#include "kernels/core/error.h"

namespace lockstep {

namespace {

std::uint8_t level(float value) {
  return static_cast<std::uint8_t>(std::clamp(value, 0.0f, 255.0f));
}

// factor · value + (1 - factor) · other
std::uint8_t blend(std::uint8_t value, float other, float factor, float rest) {
  const float own = factor * static_cast<float>(value), added = rest * other;
  return level(own + added);
}

void blend_with(const ImageSpan& image, float other, double factor) {
  const auto own = static_cast<float>(factor), rest = static_cast<float>(1.0 - factor);
  std::array<std::uint8_t, 256> table;
  for (std::size_t v = 0; v < table.size(); ++v)
    table[v] = blend(static_cast<std::uint8_t>(v), other, own, rest);
  std::uint8_t* const pixels = image.row<std::uint8_t>(0);
  for (std::int64_t i = 0; i < image.elements(); ++i) pixels[i] = table[pixels[i]];
}

std::uint8_t grey_level(const std::uint8_t* rgb) {  // ITU-R BT.601
  const float red = 0.2989f * static_cast<float>(rgb[0]);
  const float green = 0.587f * static_cast<float>(rgb[1]);
  const float blue = 0.114f * static_cast<float>(rgb[2]);
  const float sum = red + green;
  return static_cast<std::uint8_t>(sum + blue);
}

// Turning the hue leaves the largest and the smallest channel's level; the third lies between them
// by how far the colour is into its sixth of the circle.
void turn_pixel(std::uint8_t* rgb, float sixths) {
  const std::uint8_t most = std::max({rgb[0], rgb[1], rgb[2]});
  const std::uint8_t least = std::min({rgb[0], rgb[1], rgb[2]});
  if (most == least) return;
  const auto high = static_cast<float>(most), range = static_cast<float>(most - least);
  float hue;  // in sixths of the circle, from red
  if (most == rgb[0])
    hue = static_cast<float>(rgb[1] - rgb[2]) / range + 6.0f;
  else if (most == rgb[1])
    hue = static_cast<float>(rgb[2] - rgb[0]) / range + 2.0f;
  else
    hue = static_cast<float>(rgb[0] - rgb[1]) / range + 4.0f;
  hue += sixths;  // in [1, 13) with sixths in [0, 6)
  auto sector = static_cast<int>(hue);
  const float into = hue - static_cast<float>(sector);
  sector %= 6;
  const float way = sector % 2 == 0 ? 1.0f - into : into;  // from the largest to the smallest
  // torchvision's way back from [0, 1] to levels.
  const float distance = range * way;
  const auto between = static_cast<std::uint8_t>((high - distance) * (255.999f / 255.0f));
  static constexpr std::array<std::array<std::uint8_t, 3>, 6> kPlaces{{
      // of the largest, the one between, the smallest
      {0, 1, 2},
      {1, 0, 2},
      {1, 2, 0},
      {2, 1, 0},
      {2, 0, 1},
      {0, 2, 1},
  }};
  const auto& place = kPlaces[static_cast<std::size_t>(sector)];
  rgb[place[0]] = most;
  rgb[place[1]] = between;
  rgb[place[2]] = least;
}

bool varies(const Interval& interval, double neutral) {
  return interval.low != neutral || interval.high != neutral;
}

}  // namespace

void adjust_brightness(const ImageSpan& image, double factor) {
  blend_with(image, 0, factor);
}

void adjust_contrast(const ImageSpan& image, double factor) {
  const std::uint8_t* const pixels = image.row<std::uint8_t>(0);
  const std::int64_t count = image.height * image.width;
  std::int64_t sum = 0;
  if (image.channels == 1)
    for (std::int64_t i = 0; i < count; ++i) sum += pixels[i];
  else
    for (std::int64_t i = 0; i < count; ++i) sum += grey_level(pixels + 3 * i);
  blend_with(image, static_cast<float>(static_cast<double>(sum) / static_cast<double>(count)),
             factor);
}

void adjust_saturation(const ImageSpan& image, double factor) {
  const auto own = static_cast<float>(factor), rest = static_cast<float>(1.0 - factor);
  std::uint8_t* rgb = image.row<std::uint8_t>(0);
  for (const std::uint8_t* end = rgb + image.elements(); rgb < end; rgb += 3) {
    const auto grey = static_cast<float>(grey_level(rgb));
    for (int c = 0; c < 3; ++c) rgb[c] = blend(rgb[c], grey, own, rest);
  }
}

void adjust_hue(const ImageSpan& image, double turn) {
  const auto sixths = static_cast<float>((turn < 0 ? turn + 1 : turn) * 6);
  std::uint8_t* rgb = image.row<std::uint8_t>(0);
  for (const std::uint8_t* end = rgb + image.elements(); rgb < end; rgb += 3)
    turn_pixel(rgb, sixths);
}

void ColourJitter::check(const Shape& image, DType type) const {
  if (type != DType::kUInt8)
    throw Error("colours are those of uint8 images, but these are {}", name_of(type));
  if (image[2] != 1 && image[2] != 3)
    throw Error("it takes images of one channel or three, not {}", image[2]);
  if (image[2] == 1 && (varies(options_.saturation, 1) || varies(options_.hue, 0)))
    throw Error("'saturation' and 'hue' need three channels; these images are grey");
}

void ColourJitter::apply(SampleRandom random, const ImageSpan&, const ImageSpan& to,
                         AugmentWorkspace&) const {
  std::array<int, 4> order{0, 1, 2, 3};
  for (std::int64_t i = 3; i > 0; --i)
    std::swap(order[static_cast<std::size_t>(i)],
              order[static_cast<std::size_t>(random.below(i + 1))]);
  const auto draw = [&](const Interval& interval) {
    return random.uniform(interval.low, interval.high);
  };
  const double brightness = draw(options_.brightness), contrast = draw(options_.contrast);
  const double saturation = draw(options_.saturation), hue = draw(options_.hue);
  for (const int which : order) {
    if (which == 0 && varies(options_.brightness, 1)) adjust_brightness(to, brightness);
    if (which == 1 && varies(options_.contrast, 1)) adjust_contrast(to, contrast);
    if (which == 2 && varies(options_.saturation, 1)) adjust_saturation(to, saturation);
    if (which == 3 && varies(options_.hue, 0)) adjust_hue(to, hue);
  }
}

}  // namespace lockstep
