#include "io/augment/resample.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "kernels/core/portable_math.h"

namespace lockstep {

namespace {

constexpr std::int32_t kOne = 2048;  // the weight 1
constexpr int kWeightBits = 11;

// Between the passes: uint8 with 11 more bits, exact; float32 rounded.
template <typename T>
using Middle = std::conditional_t<std::is_same_v<T, std::uint8_t>, std::int32_t, float>;

float share(std::int32_t weight) {
  return static_cast<float>(weight) * (1.0f / kOne);
}

std::int32_t mix(std::uint8_t a, std::uint8_t b, std::int32_t weight) {
  return a * (kOne - weight) + b * weight;
}
float mix(float a, float b, std::int32_t weight) {
  const float step = (b - a) * share(weight);
  return a + step;
}
// Two values between the passes become an element.
std::uint8_t finish(std::int32_t a, std::int32_t b, std::int32_t weight) {
  return static_cast<std::uint8_t>(
      (a * (kOne - weight) + b * weight + (1 << (2 * kWeightBits - 1))) >> (2 * kWeightBits));
}
float finish(float a, float b, std::int32_t weight) {
  return mix(a, b, weight);
}

// Where element `i` of `count` lies among `source` pixels, and how far towards the next one.
struct Tap {
  std::int64_t first, second;
  std::int32_t weight;
};

Tap tap_of(std::int64_t i, std::int64_t count, std::int64_t source) {
  const double scale = static_cast<double>(source) / static_cast<double>(count);
  const double place = std::max(0.0, (static_cast<double>(i) + 0.5) * scale - 0.5);
  const auto fixed = static_cast<std::int64_t>(place * kOne + 0.5);
  const std::int64_t first = std::min(fixed >> kWeightBits, source - 1);
  return {first, std::min(first + 1, source - 1), static_cast<std::int32_t>(fixed & (kOne - 1))};
}

std::vector<std::int32_t>& middle_rows(AugmentWorkspace& workspace, std::int32_t) {
  return workspace.integers;
}
std::vector<float>& middle_rows(AugmentWorkspace& workspace, float) {
  return workspace.floats;
}

template <typename T>
void resize(const ImageSpan& from, const PixelBox& box, const ImageSpan& to,
            AugmentWorkspace& workspace) {
  const auto elements = static_cast<std::size_t>(to.row_elements());
  const auto channels = static_cast<std::size_t>(to.channels);
  workspace.places.resize(2 * elements);
  workspace.weights.resize(elements);
  std::int32_t* const first = workspace.places.data();
  std::int32_t* const second = first + elements;
  std::int32_t* const weights = workspace.weights.data();
  for (std::size_t x = 0; x < static_cast<std::size_t>(to.width); ++x) {
    const Tap tap = tap_of(static_cast<std::int64_t>(x), to.width, box.width);
    for (std::size_t c = 0; c < channels; ++c) {
      const auto channel = static_cast<std::int64_t>(c);
      first[x * channels + c] =
          static_cast<std::int32_t>((box.left + tap.first) * to.channels + channel);
      second[x * channels + c] =
          static_cast<std::int32_t>((box.left + tap.second) * to.channels + channel);
      weights[x * channels + c] = tap.weight;
    }
  }

  // Rows of the result ascend, so that a stretched row of the source serves several of them.
  auto& rows = middle_rows(workspace, Middle<T>{});
  rows.resize(2 * elements);
  std::int64_t held[2] = {-1, -1};
  const auto stretched = [&](std::int64_t y) -> const Middle<T>* {
    const auto slot = static_cast<std::size_t>(y & 1);
    Middle<T>* const row = rows.data() + slot * elements;
    if (held[slot] == y) return row;
    const T* const source = from.row<T>(box.top + y);
    for (std::size_t e = 0; e < elements; ++e)
      row[e] = mix(source[first[e]], source[second[e]], weights[e]);
    held[slot] = y;
    return row;
  };
  for (std::int64_t y = 0; y < to.height; ++y) {
    const Tap tap = tap_of(y, to.height, box.height);
    const Middle<T>* const upper = stretched(tap.first);
    const Middle<T>* const lower = tap.weight == 0 ? upper : stretched(tap.second);
    T* const out = to.row<T>(y);
    for (std::size_t e = 0; e < elements; ++e) out[e] = finish(upper[e], lower[e], tap.weight);
  }
}

// A place in the source: pixels in the upper half, 32 bits of fraction below.
constexpr int kPlaceBits = 32;
std::int64_t fixed_place(double place) {
  return static_cast<std::int64_t>(std::floor(place * 0x1p32 + 0.5));
}

template <typename T>
void warp_typed(const ImageSpan& from, const AffineMap& map, T fill, const ImageSpan& to) {
  // Half of the weight's last bit, so that weights are rounded and not cut off.
  constexpr std::int64_t kHalf = std::int64_t{1} << (kPlaceBits - kWeightBits - 1);
  const std::int64_t step_x = fixed_place(map[0]), step_y = fixed_place(map[3]);
  const std::int64_t channels = to.channels, stride = from.row_elements();
  const T* const pixels = from.row<T>(0);
  for (std::int64_t y = 0; y < to.height; ++y) {
    const auto row = static_cast<double>(y);
    std::int64_t place_x = fixed_place(map[1] * row + map[2]) + kHalf;
    std::int64_t place_y = fixed_place(map[4] * row + map[5]) + kHalf;
    T* out = to.row<T>(y);
    for (std::int64_t x = 0; x < to.width;
         ++x, out += channels, place_x += step_x, place_y += step_y) {
      const std::int64_t left = place_x >> kPlaceBits, top = place_y >> kPlaceBits;
      const auto weight_x =
          static_cast<std::int32_t>(place_x >> (kPlaceBits - kWeightBits)) & (kOne - 1);
      const auto weight_y =
          static_cast<std::int32_t>(place_y >> (kPlaceBits - kWeightBits)) & (kOne - 1);
      if (left >= 0 && top >= 0 && left < from.width - 1 && top < from.height - 1) {
        const T* const at = pixels + top * stride + left * channels;
        for (std::int64_t c = 0; c < channels; ++c)
          out[c] = finish(mix(at[c], at[channels + c], weight_x),
                          mix(at[stride + c], at[stride + channels + c], weight_x), weight_y);
        continue;
      }
      const auto level = [&](std::int64_t pixel_y, std::int64_t pixel_x, std::int64_t c) {
        const bool inside =
            pixel_x >= 0 && pixel_y >= 0 && pixel_x < from.width && pixel_y < from.height;
        return inside ? pixels[pixel_y * stride + pixel_x * channels + c] : fill;
      };
      for (std::int64_t c = 0; c < channels; ++c)
        out[c] =
            finish(mix(level(top, left, c), level(top, left + 1, c), weight_x),
                   mix(level(top + 1, left, c), level(top + 1, left + 1, c), weight_x), weight_y);
    }
  }
}

}  // namespace

void resize_box(const ImageSpan& from, const PixelBox& box, const ImageSpan& to,
                AugmentWorkspace& workspace) {
  for_type(to, [&](auto type) { resize<decltype(type)>(from, box, to, workspace); });
}

AffineMap inverse_affine_map(const AffineParameters& p, std::int64_t height, std::int64_t width) {
  const double middle_x = static_cast<double>(width - 1) / 2;
  const double middle_y = static_cast<double>(height - 1) / 2;
  const auto [sin_turn, cos_turn] = sine_cosine(p.degrees / 360);
  const auto [sin_inner, cos_inner] = sine_cosine((p.degrees - p.shear_y) / 360);
  const auto [sin_x, cos_x] = sine_cosine(p.shear_x / 360);
  const double cos_y = sine_cosine(p.shear_y / 360).cosine, tan_x = sin_x / cos_x;
  const double a = cos_inner / cos_y, b = -cos_inner * tan_x / cos_y - sin_turn;
  const double c = sin_inner / cos_y, d = -sin_inner * tan_x / cos_y + cos_turn;
  AffineMap map{d / p.scale, -b / p.scale, 0, -c / p.scale, a / p.scale, 0};
  map[2] = map[0] * (-middle_x - p.shift_x) + map[1] * (-middle_y - p.shift_y) + middle_x;
  map[5] = map[3] * (-middle_x - p.shift_x) + map[4] * (-middle_y - p.shift_y) + middle_y;
  return map;
}

void warp(const ImageSpan& from, const AffineMap& map, double fill, const ImageSpan& to) {
  for_type(to, [&](auto type) {
    warp_typed<decltype(type)>(from, map, static_cast<decltype(type)>(fill), to);
  });
}

}  // namespace lockstep
