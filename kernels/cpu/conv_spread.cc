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
    : g_(g), line_((g.out_w() + kLineMultiple - 1) / kLineMultiple * kLineMultiple) {
  const Correlation c = forward_correlation(g);
  columns_.include(c, forward_part(g));
  columns_.finish(c);
  width_ = columns_.width() * g.in_c;
}

void SpreadImages::clear(float* padded) const {
  std::memset(padded, 0, static_cast<std::size_t>(rows_of(g_.out_h()) * width_) * sizeof(float));
}

void SpreadImages::pad(const GemmKernels& kernels, const float* image, float* padded) const {
  const std::int64_t rows = std::clamp<std::int64_t>(rows_of(g_.out_h()) - g_.pad_h, 0, g_.in_h);
  const std::int64_t first = std::max<std::int64_t>(0, columns_.first);
  const std::int64_t shown = std::min(columns_.end, g_.in_w) - first;
  kernels.copy_lines({image + first * g_.in_c, g_.in_w * g_.in_c, 0,
                      padded + g_.pad_h * width_ + (first - columns_.first) * g_.in_c, width_, 0,
                      rows, 1, shown * g_.in_c});
}

void SpreadImages::spread(const GemmKernels& kernels, const float* padded, std::int64_t first,
                          std::int64_t count, float* to) const {
  const float* const from = padded + first * width_ + (-g_.pad_w - columns_.first) * g_.in_c;
  if (shifts()) {
    kernels.copy_lines({from, width_, g_.dilation_w, to, row(), line_, count, g_.kernel_w, line_});
    return;
  }
  const std::int64_t out_w = g_.out_w(), step = g_.stride_w * g_.in_c;
  float* line = to;
  for (std::int64_t h = 0; h < count; ++h) {
    for (std::int64_t kw = 0; kw < g_.kernel_w; ++kw) {
      for (std::int64_t c = 0; c < g_.in_c; ++c, line += line_) {
        const float* const pixels = from + h * width_ + kw * g_.dilation_w * g_.in_c + c;
        for (std::int64_t ow = 0; ow < out_w; ++ow) line[ow] = pixels[ow * step];
      }
    }
  }
}

}  // namespace lockstep
