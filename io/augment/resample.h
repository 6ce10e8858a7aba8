// Bilinear resampling without antialiasing: of an upright box (a crop that is resized) and along an
// affine map (rotation, shift, shear). Places of pixels are those of torchvision: pixel i covers
// [i, i + 1). uint8 is computed in integers, weights in 1/2048; the result is within one level of
// exact arithmetic.
#pragma once

#include <array>

#include "io/augment/image_span.h"

namespace lockstep {

struct PixelBox {
  std::int64_t top = 0, left = 0, height = 0, width = 0;
  bool operator==(const PixelBox&) const = default;
};

// The box of `from`, stretched to the size of `to` (align_corners = false; beyond the box's edges
// its own edge pixels count).
void resize_box(const ImageSpan& from, const PixelBox& box, const ImageSpan& to,
                AugmentWorkspace& workspace);

// From a pixel of the result to the place in the source, both counted from the middle of the upper
// left pixel: x' = m[0] x + m[1] y + m[2], y' = m[3] x + m[4] y + m[5].
using AffineMap = std::array<double, 6>;

struct AffineParameters {
  double degrees = 0;               // clockwise, about the middle of the image
  double shift_x = 0, shift_y = 0;  // pixels to the right and down
  double scale = 1;
  double shear_x = 0, shear_y = 0;  // degrees
};

// torchvision.transforms.functional's _get_inverse_affine_matrix, for an image of this size.
AffineMap inverse_affine_map(const AffineParameters& parameters, std::int64_t height,
                             std::int64_t width);

// Both images have one size; what lies outside of `from` has the level `fill` in every channel.
void warp(const ImageSpan& from, const AffineMap& map, double fill, const ImageSpan& to);

}  // namespace lockstep
