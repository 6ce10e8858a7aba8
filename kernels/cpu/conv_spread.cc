#include "kernels/cpu/conv_spread.h"

#include <algorithm>
#include <cstring>

namespace lockstep {

namespace {
constexpr std::int64_t kFewRowTerms = 8;
}

bool SpreadImages::suits(const ConvGeometry& g) {
  return g.groups == 1 && g.dilation_h == 1 && g.kernel_w * g.in_c <= kFewRowTerms;
}

SpreadImages::SpreadImages(const ConvGeometry& g)
    : g_(g),
      out_w_(g.out_w()),
      lines_(g.kernel_w * g.in_c),
      height_((g.out_h() - 1) * g.stride_h + g.kernel_h) {
  const Correlation c = forward_correlation(g);
  columns_.include(c, forward_part(g));
  columns_.finish(c);
}

void SpreadImages::clear(float* padded) const {
  if (columns_.copied) PaddedImages(padded, 1, g_.in_h, g_.in_w, g_.in_c, columns_);
}

void SpreadImages::write(const GemmKernels& kernels, const float* image, float* padded,
                         float* spread) const {
  if (columns_.copied) {
    PaddedImages(padded, 0, g_.in_h, g_.in_w, g_.in_c, columns_).copy(kernels, 0, image);
    image = padded;
  }
  const std::int64_t channels = g_.in_c, pixel_step = g_.stride_w * channels;
  const std::int64_t image_row = columns_.width() * channels;
  // Rows [first, end) of the spread image show rows of the image, the others show padding.
  const std::int64_t first = std::min(g_.pad_h, height_);
  const std::int64_t end = std::max(first, std::min(g_.pad_h + g_.in_h, height_));
  std::memset(spread, 0, static_cast<std::size_t>(first * row()) * sizeof(float));
  std::memset(spread + end * row(), 0,
              static_cast<std::size_t>((height_ - end) * row()) * sizeof(float));
  const float* const from = image + (-g_.pad_w - columns_.first) * channels;
  float* const to = spread + first * row();
  if (pixel_step == 1) {
    kernels.copy_lines(
        {from, image_row, g_.dilation_w, to, row(), out_w_, end - first, g_.kernel_w, out_w_});
    return;
  }
  for (std::int64_t h = 0; h < end - first; ++h) {
    float* line = to + h * row();
    for (std::int64_t kw = 0; kw < g_.kernel_w; ++kw) {
      for (std::int64_t c = 0; c < channels; ++c, line += out_w_) {
        const float* const pixels = from + h * image_row + kw * g_.dilation_w * channels + c;
        for (std::int64_t ow = 0; ow < out_w_; ++ow) line[ow] = pixels[ow * pixel_step];
      }
    }
  }
}

}  // namespace lockstep
