// The weights of a resize as resize_vnni.h takes them.
#pragma once

#include <cstdint>
#include <vector>

#include "io/images/resize_vnni.h"

namespace lockstep {

// Of an axis. A block is kTapsAtOnce taps, the last one filled up with weights of zero.
struct ResizeDigits {
  std::int64_t blocks = 0;
  std::vector<std::int32_t> digits;  // (places, blocks, kResizeDigits), four taps in each

  void plan(const ResizeTaps& taps);
};

// Of a row, kept while its numbers stay the same.
struct ResizeRowPlan {
  std::vector<ResizeLanes> lanes;  // (bytes of the result / kLanes rounded up, digits.blocks)
  std::int64_t skipped = 0, channels = 0;
  bool fits = false;

  // False where a reduction is so strong that neighbours lie farther apart than kWindow. Another
  // axis needs channels = 0 before it.
  bool plan(const ResizeTaps& taps, const ResizeDigits& digits, std::int64_t row_channels);

 private:
  void plan_lanes(const ResizeTaps& taps, const ResizeDigits& digits);
};

}  // namespace lockstep
