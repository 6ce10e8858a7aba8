// First layers have few channels: a row of the kernel has too few terms to fill registers (weight
// gradient) or to be worth a loop (forward). There an image is written out once for each kernel
// column and channel, as the pixels that this tap sees,
//   spread(h, kw, c, ow) = x(h - pad_h, ow · stride_w + kw · dilation_w - pad_w, c), zero outside,
// so that all taps (kh, kw, c) of an output row lie at a constant distance.
#pragma once

#include "kernels/cpu/conv_plan.h"

namespace lockstep {

class SpreadImages {
 public:
  static bool suits(const ConvGeometry& g);

  explicit SpreadImages(const ConvGeometry& g);
  std::int64_t lines() const { return g_.kernel_w * g_.in_c; }  // of one h
  std::int64_t line() const { return line_; }                   // floats between lines
  std::int64_t row() const { return lines() * line_; }          // floats of one h
  std::int64_t rows_of(std::int64_t out_rows) const {           // that many output rows see
    return (out_rows - 1) * g_.stride_h + g_.kernel_h;
  }
  // Whether the line of a tap in the padded image is that of the tap before it, shifted.
  bool shifts() const { return g_.stride_w * g_.in_c == 1; }
  std::int64_t padded_row() const { return width_; }
  // Floats of a padded image; lines are copied in whole vectors, which read behind its end.
  std::int64_t padded() const { return rows_of(g_.out_h()) * width_ + kLineMultiple; }

  // The zeros of a padded image, once; then its pixels.
  void clear(float* padded) const;
  void pad(const GemmKernels& kernels, const float* image, float* padded) const;
  // `count` rows from `first` on.
  void spread(const GemmKernels& kernels, const float* padded, std::int64_t first,
              std::int64_t count, float* to) const;

 private:
  static constexpr std::int64_t kLineMultiple = 16;

  const ConvGeometry& g_;
  SourceColumns columns_;
  std::int64_t width_, line_;
};

}  // namespace lockstep
