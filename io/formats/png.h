// PNG images as 8-bit pixels, through libpng.
#pragma once

#include <string>

#include "kernels/core/tensor.h"

namespace lockstep {

// uint8 (H, W, channels): 1 is grey, 3 RGB, 4 RGB and opacity, 2 grey and opacity. Other kinds are
// converted: palettes and 16 bits to 8 bits of sRGB, colours to grey by their luminance, grey to
// equal colours; what is transparent lies on black where there is no channel for it. Throws Error
// naming the file: absent, no PNG, damaged, truncated.
Tensor read_png(const std::string& path, std::int64_t channels);

// An image of the same kinds; the file appears complete or not at all.
void write_png(const std::string& path, const Tensor& image);

// The file's bytes, for containers that hold images.
std::string encode_png(const Tensor& image);

}  // namespace lockstep
