// A convolution as correlations with stride: an output pixel sums, over a grid of taps, rows of
// channels of the source image times rows of weights. The forward pass is one such part; the data
// gradient is one part a phase of the stride, with taps in the other order. Along one axis
//   output first + step · q  reads  source stride · q + (tap.first + t · tap.step),  t = 0 .. count
//   - 1
// and what lies outside the source counts as zero.
#pragma once

#include <cstdint>

#include "kernels/backend.h"
#include "kernels/cpu/gemm_kernels.h"
#include "kernels/cpu/gemm_runs.h"

namespace lockstep {

struct TapAxis {
  std::int64_t count = 0, first = 0, step = 1;     // offsets into the source, ascending
  std::int64_t kernel_first = 0, kernel_step = 1;  // which row or column of the kernel tap t is
  std::int64_t outputs = 0, output_first = 0;      // q runs over [0, outputs)
};

struct ConvPart {
  TapAxis h, w;
  std::int64_t weights_before = 0;  // elements of the packed weights that earlier parts take
};

// What is common to all parts; sizes of the source and of the output with all channels.
struct Correlation {
  std::int64_t source_h = 0, source_w = 0, source_c = 0;
  std::int64_t output_h = 0, output_w = 0, output_c = 0;
  std::int64_t groups = 1;
  std::int64_t stride_h = 1, stride_w = 1;            // of the source, by q
  std::int64_t output_step_h = 1, output_step_w = 1;  // of the output, by q

  std::int64_t group_c() const { return source_c / groups; }
  std::int64_t terms(const ConvPart& part) const {  // rows of a part's weights
    return part.h.count * part.w.count * group_c();
  }
};

Correlation forward_correlation(const ConvGeometry& g);
ConvPart forward_part(const ConvGeometry& g);

// The data gradient: source dy, output dx, parts 0 .. data_parts - 1.
Correlation data_correlation(const ConvGeometry& g);
std::int64_t data_parts(const ConvGeometry& g);
// The next part; `weights_before` is the sum over those before it.
ConvPart data_part(const ConvGeometry& g, std::int64_t index, std::int64_t weights_before);

// Columns [first, end) of the source that any tap reads; where they leave the image, rows are
// copied with zeros around them. Rows above and below the image are never read.
struct SourceColumns {
  std::int64_t first = 0, end = 0;
  bool copied = false;
  void include(const Correlation& c, const ConvPart& part);
  void finish(const Correlation& c);
  std::int64_t width() const { return end - first; }
};

// Copies images between zero columns, which clear() writes once.
class PaddedImages {
 public:
  PaddedImages(float* memory, std::int64_t images, std::int64_t height, std::int64_t width,
               std::int64_t channels, const SourceColumns& columns);
  void copy(const GemmKernels& kernels, std::int64_t slot, const float* image) const;

 private:
  float* memory_;
  std::int64_t height_, row_, padded_row_, margin_, inside_;
};

// The taps [first, end) whose source row lies inside the image for output row q.
struct TapRange {
  std::int64_t first = 0, end = 0;
  friend bool operator==(const TapRange&, const TapRange&) = default;
};
TapRange taps_inside(const TapAxis& taps, std::int64_t stride, std::int64_t size, std::int64_t q);

void check_geometry(const ConvGeometry& g);
void check_images(const char* name, const Tensor& tensor, std::int64_t h, std::int64_t w,
                  std::int64_t c);
void check_conv_elements(const char* name, const Tensor& tensor, std::int64_t elements);

}  // namespace lockstep
