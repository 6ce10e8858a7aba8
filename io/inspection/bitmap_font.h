// Letters of 5×8 dots, for captions in pictures.
#pragma once

#include <cstdint>
#include <string_view>

#include "kernels/core/tensor.h"

namespace lockstep {

inline constexpr std::int64_t kGlyphWidth = 5, kGlyphHeight = 8, kGlyphAdvance = 6;

// Draws printable ASCII, black, on an RGB image (H, W, 3), each dot `scale` × `scale` pixels, the
// upper left corner at (top, left); other bytes as '?'. What lies outside of the image is left out.
void draw_text(const Tensor& image, std::int64_t top, std::int64_t left, std::int64_t scale,
               std::string_view text);

}  // namespace lockstep
