// The two passes of a resize, compiled once an instruction set: integers alone, so every set gives
// the same bits. Plain pointers, because nothing inline may be shared between the sets.
#pragma once

#include <cstdint>

namespace lockstep {

// Along one axis: place i of the result is the sum of `taps` neighbours from first[i] on, weighted
// by weights[i * taps ...] in units of 2^-kResizeBits. `skipped` places before the first that is
// needed are not there.
struct ResizeTaps {
  const std::int32_t* first;
  const std::int32_t* weights;
  std::int64_t taps, count, skipped;
};
constexpr int kResizeBits = 22;  // Pillow's 32 - 8 - 2

// Rows of taps.count pixels from rows that are wide enough. `to_row_bytes` leaves at least
// kResizeSlack bytes behind each row of the result, which may be overwritten.
using ResizeAcross = void(const std::uint8_t* from, std::int64_t row_bytes, std::int64_t rows,
                          std::int64_t channels, const ResizeTaps& taps, std::uint8_t* to,
                          std::int64_t to_row_bytes);
constexpr std::int64_t kResizeSlack = 4;
// taps.count rows of `bytes` bytes from rows above one another.
using ResizeDown = void(const std::uint8_t* from, std::int64_t row_bytes, std::int64_t bytes,
                        const ResizeTaps& taps, std::uint8_t* to, std::int64_t to_row_bytes);

namespace generic {
ResizeAcross resize_across;
ResizeDown resize_down;
}  // namespace generic
namespace avx2 {
ResizeAcross resize_across;          // the plain loops
ResizeAcross resize_across_colours;  // a pixel's channels as one vector
ResizeDown resize_down;
}  // namespace avx2

}  // namespace lockstep
