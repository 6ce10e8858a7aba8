// First layers have few channels: a row of the kernel has too few terms to fill registers (weight
// gradient) or to be worth a loop (forward). There an image is written out once for each kernel
// column and channel, as the pixels that this tap sees,
//   spread(h, kw, c, ow) = x(h - pad_h, ow · stride_w + kw · dilation_w - pad_w, c), zero outside,
// so that all taps (kh, kw, c) of an output row lie at a constant distance of out_w floats.
#pragma once

#include "kernels/cpu/conv_plan.h"

namespace lockstep {

class SpreadImages {
 public:
  static bool suits(const ConvGeometry& g);

  explicit SpreadImages(const ConvGeometry& g);
  std::int64_t row() const { return lines_ * out_w_; }    // floats of one h
  std::int64_t image() const { return height_ * row(); }  // floats of one image
  std::int64_t padded() const { return columns_.copied ? g_.in_h * columns_.width() * g_.in_c : 0; }

  // Prepares `padded`, scratch memory of padded() floats, once before write().
  void clear(float* padded) const;
  void write(const GemmKernels& kernels, const float* image, float* padded, float* spread) const;

 private:
  const ConvGeometry& g_;
  std::int64_t out_w_, lines_, height_;
  SourceColumns columns_;
};

}  // namespace lockstep
