// Compiled once an instruction set (LOCKSTEP_ISA is its namespace), so nothing here may be inline
// code of another header.
#include "io/images/resize_rows.h"

namespace lockstep::LOCKSTEP_ISA {
namespace {

constexpr std::int32_t kHalf = 1 << (kResizeBits - 1);

// Weights are rounded each for itself: a long sum of them may pass 1 by a little.
std::uint8_t pixel(std::int32_t sum) {
  const std::int32_t value = sum >> kResizeBits;
  return static_cast<std::uint8_t>(value > 255 ? 255 : value);
}

template <int kChannels>
void across_row(const std::uint8_t* from, const ResizeTaps& taps, std::uint8_t* to) {
  for (std::int64_t x = 0; x < taps.count; ++x) {
    const std::uint8_t* near = from + (taps.first[x] - taps.skipped) * kChannels;
    const std::int32_t* weights = taps.weights + x * taps.taps;
    std::int32_t sums[kChannels];
    for (int c = 0; c < kChannels; ++c) sums[c] = kHalf;
    for (std::int64_t t = 0; t < taps.taps; ++t)
      for (int c = 0; c < kChannels; ++c) sums[c] += weights[t] * near[t * kChannels + c];
    for (int c = 0; c < kChannels; ++c) to[x * kChannels + c] = pixel(sums[c]);
  }
}

template <int kChannels>
void across_rows(const std::uint8_t* from, std::int64_t row_bytes, std::int64_t rows,
                 const ResizeTaps& taps, std::uint8_t* to, std::int64_t to_row_bytes) {
  for (std::int64_t y = 0; y < rows; ++y)
    across_row<kChannels>(from + y * row_bytes, taps, to + y * to_row_bytes);
}

// `count` neighbouring bytes of one row; with a constant count the sums stay in registers.
inline void down_bytes(const std::uint8_t* from, std::int64_t row_bytes,
                       const std::int32_t* weights, std::int64_t taps, int count,
                       std::uint8_t* to) {
  std::int32_t sums[64];
  for (int i = 0; i < count; ++i) sums[i] = kHalf;
  for (std::int64_t t = 0; t < taps; ++t)
    for (int i = 0; i < count; ++i) sums[i] += weights[t] * from[t * row_bytes + i];
  for (int i = 0; i < count; ++i) to[i] = pixel(sums[i]);
}

}  // namespace

void resize_across(const std::uint8_t* from, std::int64_t row_bytes, std::int64_t rows,
                   std::int64_t channels, const ResizeTaps& taps, std::uint8_t* to,
                   std::int64_t to_row_bytes) {
  switch (channels) {
    case 1:
      return across_rows<1>(from, row_bytes, rows, taps, to, to_row_bytes);
    case 2:
      return across_rows<2>(from, row_bytes, rows, taps, to, to_row_bytes);
    case 3:
      return across_rows<3>(from, row_bytes, rows, taps, to, to_row_bytes);
    default:
      return across_rows<4>(from, row_bytes, rows, taps, to, to_row_bytes);
  }
}

void resize_down(const std::uint8_t* from, std::int64_t row_bytes, std::int64_t bytes,
                 const ResizeTaps& taps, std::uint8_t* to, std::int64_t to_row_bytes) {
  for (std::int64_t y = 0; y < taps.count; ++y) {
    const std::uint8_t* near = from + (taps.first[y] - taps.skipped) * row_bytes;
    const std::int32_t* weights = taps.weights + y * taps.taps;
    std::uint8_t* out = to + y * to_row_bytes;
    std::int64_t i = 0;
    for (; i + 64 <= bytes; i += 64)
      down_bytes(near + i, row_bytes, weights, taps.taps, 64, out + i);
    for (; i + 16 <= bytes; i += 16)
      down_bytes(near + i, row_bytes, weights, taps.taps, 16, out + i);
    down_bytes(near + i, row_bytes, weights, taps.taps, static_cast<int>(bytes - i), out + i);
  }
}

}  // namespace lockstep::LOCKSTEP_ISA
