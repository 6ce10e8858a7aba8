// What depthwise convolutions (one input channel an output channel) ask of the vector kernels.
// Lanes are channels; weights lie as (kernel_h, kernel_w, channel). One table a set of
// instructions; every table gives the same bits.
#pragma once

#include <cstdint>

namespace lockstep {

struct DepthwiseTap {
  const float* x = nullptr;  // the pixel that the first output reads
  const float* w = nullptr;
};

// Outputs of a row that see the same taps: y = Σ x w over the taps in order, + bias (may be null).
struct DepthwiseRow {
  const DepthwiseTap* taps = nullptr;
  std::int64_t tap_count = 0;
  std::int64_t x_step = 0, y_step = 0;  // from output to output
  std::int64_t outputs = 0, channels = 0;
  const float* bias = nullptr;
  float* y = nullptr;
  bool add = false;  // to what y holds; there is no bias then
};

struct DepthwiseGradientTap {
  const float* x = nullptr;         // of output 0, which may lie outside the image
  std::int64_t first = 0, end = 0;  // outputs whose pixel lies inside
  float* dw = nullptr;
};
inline constexpr int kDepthwiseGradientTaps = 9;  // at most, in one call

// dw += Σ x dy over the outputs of a row, one run a tap.
struct DepthwiseGradientRow {
  const DepthwiseGradientTap* taps = nullptr;
  int tap_count = 0;
  std::int64_t x_step = 0, dy_step = 0;
  std::int64_t channels = 0;
  const float* dy = nullptr;  // of output 0
};

struct DepthwiseKernels {
  void (*row)(const DepthwiseRow&);
  void (*gradient_row)(const DepthwiseGradientRow&);
};

namespace cpu::generic {
extern const DepthwiseKernels depthwise_table;
}
namespace cpu::avx2 {
extern const DepthwiseKernels depthwise_table;
}
namespace cpu::avx512 {
extern const DepthwiseKernels depthwise_table;
}
namespace cpu::neon {
extern const DepthwiseKernels depthwise_table;
}

}  // namespace lockstep
