// Images of a dataset drawn on a sheet: enlarged or averaged down to about one size, values as
// levels.
#pragma once

#include <cstdint>
#include <string>

#include "io/dataset/dataset.h"

namespace lockstep {

inline constexpr std::int64_t kMostSheetPixels = 16000;  // along a side: what viewers open

// How image pixels become pixels of the sheet: enlarged by a whole factor, or averaged over boxes.
struct DrawingScale {
  std::int64_t enlarge = 1, shrink = 1;

  explicit DrawingScale(const Shape& sample);
  std::int64_t of(std::int64_t side) const { return (side + shrink - 1) / shrink * enlarge; }
};

// Values as levels from 0 to 255: least is black, most white.
struct GreyLevels {
  double least = 0, most = 255;
  std::uint8_t of(double value) const;
};

// Bytes are shown as they are unless they use the lower half alone (digits of 16 grey levels);
// floats from their least to their largest.
GreyLevels find_levels(const Tensor& x);

// Throws Error, beginning with `what`, unless the samples are images of one channel or three.
void check_drawable(const Dataset& dataset, const std::string& what);

// Image `index` of x (N, H, W, C) with its upper left corner at (top, left) of an RGB sheet.
void draw_image(const Tensor& sheet, std::int64_t top, std::int64_t left, const Tensor& x,
                std::int64_t index, const DrawingScale& scale, const GreyLevels& levels);

}  // namespace lockstep
