// The passes of a resize for processors with byte dot products (AVX-512 VNNI, VBMI): four bytes of
// an image by four signed bytes at once. A weight of 22 bits has three digits of 8 bits,
//   w = d2 2^16 + d1 2^8 + d0, d0 and d1 in [-128, 127], d2 in [0, 65],
// so three integer sums, joined at the end, are the very sum of the plain loops. No inline code.
#pragma once

#include <cstdint>

#include "io/images/resize_rows.h"

namespace lockstep {

constexpr int kTapsAtOnce = 4;
constexpr int kResizeDigits = 3;
constexpr int kLanes = 16;       // bytes of the result in one vector of sums
constexpr int kWindow = 2 * 64;  // bytes of a row that they may lie within

// One block of kLanes neighbouring bytes of a row: from `window` bytes at `begin`, lane i takes the
// four that places[4 i ...] name.
struct ResizeLanes {
  std::uint8_t places[4 * kLanes];
  std::int32_t digits[kResizeDigits][kLanes];
  std::int64_t begin;
  std::int64_t window;
};

namespace vnni {
// As in resize_rows.h. A row of the result is `bytes` bytes, kLanes by kLanes, `blocks` lanes each;
// nothing behind it is overwritten.
void resize_across(const std::uint8_t* from, std::int64_t row_bytes, std::int64_t rows,
                   const ResizeLanes* lanes, std::int64_t blocks, std::int64_t bytes,
                   std::uint8_t* to, std::int64_t to_row_bytes);
void resize_down(const std::uint8_t* from, std::int64_t row_bytes, std::int64_t bytes,
                 const ResizeTaps& taps, const std::int32_t* digits, std::int64_t blocks,
                 std::uint8_t* to, std::int64_t to_row_bytes);
}  // namespace vnni

}  // namespace lockstep
