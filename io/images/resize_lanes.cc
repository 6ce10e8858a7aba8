#include "io/images/resize_lanes.h"

#include <algorithm>

namespace lockstep {

void ResizeDigits::plan(const ResizeTaps& taps) {
  blocks = (taps.taps + kTapsAtOnce - 1) / kTapsAtOnce;
  digits.assign(static_cast<std::size_t>(taps.count * blocks * kResizeDigits), 0);
  for (std::int64_t place = 0; place < taps.count; ++place)
    for (std::int64_t t = 0; t < taps.taps; ++t) {
      std::int32_t rest = taps.weights[place * taps.taps + t];
      std::int32_t* const four = digits.data() + (place * blocks + t / kTapsAtOnce) * kResizeDigits;
      for (int digit = 0; digit < kResizeDigits; ++digit) {
        const auto value = static_cast<std::int8_t>(rest & 0xFF);
        const auto byte = static_cast<std::uint32_t>(static_cast<std::uint8_t>(value));
        four[digit] |= static_cast<std::int32_t>(byte << (8 * (t % kTapsAtOnce)));
        rest = (rest - value) >> 8;
      }
    }
}

bool ResizeRowPlan::plan(const ResizeTaps& taps, const ResizeDigits& digits,
                         std::int64_t row_channels) {
  if (skipped == taps.skipped && channels == row_channels) return fits;
  skipped = taps.skipped;
  channels = row_channels;
  plan_lanes(taps, digits);
  fits = std::all_of(lanes.begin(), lanes.end(),
                     [](const ResizeLanes& some) { return some.window <= kWindow; });
  return fits;
}

void ResizeRowPlan::plan_lanes(const ResizeTaps& taps, const ResizeDigits& digits) {
  const std::int64_t bytes = taps.count * channels;
  const std::int64_t groups = (bytes + kLanes - 1) / kLanes;
  lanes.resize(static_cast<std::size_t>(groups * digits.blocks));
  ResizeLanes* to = lanes.data();
  for (std::int64_t group = 0; group < groups; ++group)
    for (std::int64_t block = 0; block < digits.blocks; ++block, ++to) {
      std::int64_t from[4 * kLanes];  // in the row
      for (int lane = 0; lane < kLanes; ++lane) {
        const std::int64_t byte = std::min(group * kLanes + lane, bytes - 1);
        const std::int64_t place = byte / channels;
        for (int i = 0; i < kTapsAtOnce; ++i) {
          const std::int64_t tap = std::min(block * kTapsAtOnce + i, taps.taps - 1);
          from[kTapsAtOnce * lane + i] =
              (taps.first[place] - skipped + tap) * channels + byte % channels;
        }
        for (int digit = 0; digit < kResizeDigits; ++digit)
          to->digits[digit][lane] = digits.digits[static_cast<std::size_t>(
              (place * digits.blocks + block) * kResizeDigits + digit)];
      }
      const auto [least, most] = std::minmax_element(from, from + 4 * kLanes);
      to->begin = *least;
      to->window = *most + 1 - *least;
      for (int i = 0; i < 4 * kLanes; ++i)
        to->places[i] = static_cast<std::uint8_t>(from[i] - to->begin);
    }
}

}  // namespace lockstep
