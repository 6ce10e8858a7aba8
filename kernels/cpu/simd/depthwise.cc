// Depthwise convolutions, see depthwise_kernels.h. Sums of several pixels and vectors of channels
// stay in registers while the taps pass over them.
#include "kernels/cpu/depthwise_kernels.h"

#include <utility>

#include "kernels/cpu/simd.h"

namespace lockstep::cpu::LOCKSTEP_ISA {

LOCKSTEP_INLINE V load_lanes(const float* p, int lanes) {
  return lanes == kWidth ? load(p) : load(p, lanes);
}
LOCKSTEP_INLINE void store_lanes(float* p, V v, int lanes) {
  if (lanes == kWidth) {
    store(p, v);
  } else {
    store(p, v, lanes);
  }
}

// kPixels outputs from `output` on, kVectors vectors of channels from c on, of which the last has
// `lanes`.
template <int kPixels, int kVectors, bool kTail>
static void outputs_of(const DepthwiseRow& row, std::int64_t output, std::int64_t c, int tail) {
  const int lanes = kTail ? tail : kWidth;
  const std::int64_t x_step = row.x_step, start = output * x_step + c;
  V sums[kPixels][kVectors];
#pragma GCC unroll 8
  for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sums[p][v] = set1(0.0f);
  }
  const DepthwiseTap* const end = row.taps + row.tap_count;
  for (const DepthwiseTap* tap = row.taps; tap != end; ++tap) {
    const float* const x = tap->x + start;
    const float* const w = tap->w + c;
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const V weight = load_lanes(w + v * kWidth, lanes);
#pragma GCC unroll 8
      for (int p = 0; p < kPixels; ++p) {
        sums[p][v] = fma(load_lanes(x + p * x_step + v * kWidth, lanes), weight, sums[p][v]);
      }
    }
  }
  float* const y = row.y + output * row.y_step + c;
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) {
    const V bias = row.bias ? load_lanes(row.bias + c + v * kWidth, lanes) : set1(0.0f);
#pragma GCC unroll 8
    for (int p = 0; p < kPixels; ++p) {
      float* const to = y + p * row.y_step + v * kWidth;
      V sum = sums[p][v];
      if (row.bias) sum = add(sum, bias);
      if (row.add) sum = add(load_lanes(to, lanes), sum);
      store_lanes(to, sum, lanes);
    }
  }
}

// All channels of kPixels outputs. One output alone takes many vectors, to keep as many sums going.
template <int kPixels>
static void pixels_of(const DepthwiseRow& row, std::int64_t output) {
  constexpr int kMany = kPixels == 1 ? 8 : 2;
  std::int64_t c = 0;
  for (; c + kMany * kWidth <= row.channels; c += kMany * kWidth) {
    outputs_of<kPixels, kMany, false>(row, output, c, kWidth);
  }
  for (; c + kWidth <= row.channels; c += kWidth) {
    outputs_of<kPixels, 1, false>(row, output, c, kWidth);
  }
  if (c < row.channels) {
    outputs_of<kPixels, 1, true>(row, output, c, static_cast<int>(row.channels - c));
  }
}

static void row(const DepthwiseRow& whole) {
  const DepthwiseRow row = whole;  // stores could change what a reference refers to
  constexpr std::int64_t kPixels = 6;
  std::int64_t output = 0;
  for (; output + kPixels <= row.outputs; output += kPixels) pixels_of<kPixels>(row, output);
  switch (row.outputs - output) {
    case 5:
      return pixels_of<5>(row, output);
    case 4:
      return pixels_of<4>(row, output);
    case 3:
      return pixels_of<3>(row, output);
    case 2:
      return pixels_of<2>(row, output);
    case 1:
      return pixels_of<1>(row, output);
    default:
      return;
  }
}

// Outputs [first, end), of which a tap sees those of its own range.
template <int kTaps, int kVectors, bool kTail, bool kGuarded>
LOCKSTEP_INLINE void add_outputs(const DepthwiseGradientRow& row, std::int64_t first,
                                 std::int64_t end, std::int64_t c, int tail,
                                 V (&sums)[kTaps][kVectors]) {
  const int lanes = kTail ? tail : kWidth;
  const float* x[kTaps];
#pragma GCC unroll 9
  for (int t = 0; t < kTaps; ++t) x[t] = row.taps[t].x + first * row.x_step + c;
  const float* dy = row.dy + first * row.dy_step + c;
  for (std::int64_t output = first; output < end; ++output, dy += row.dy_step) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      const V d = load_lanes(dy + v * kWidth, lanes);
#pragma GCC unroll 9
      for (int t = 0; t < kTaps; ++t) {
        if (kGuarded && (output < row.taps[t].first || output >= row.taps[t].end)) continue;
        sums[t][v] = fma(load_lanes(x[t] + v * kWidth, lanes), d, sums[t][v]);
      }
    }
#pragma GCC unroll 9
    for (int t = 0; t < kTaps; ++t) x[t] += row.x_step;
  }
}

template <int kTaps, int kVectors, bool kTail>
static void gradient_of(const DepthwiseGradientRow& row, std::int64_t c, int tail) {
  const int lanes = kTail ? tail : kWidth;
  V sums[kTaps][kVectors];
  std::int64_t first = row.taps[0].first, end = row.taps[0].end, all_first = first, all_end = end;
#pragma GCC unroll 9
  for (int t = 0; t < kTaps; ++t) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sums[t][v] = set1(0.0f);
    const DepthwiseGradientTap& tap = row.taps[t];
    if (tap.first < first) first = tap.first;
    if (tap.end > end) end = tap.end;
    if (tap.first > all_first) all_first = tap.first;
    if (tap.end < all_end) all_end = tap.end;
  }
  if (all_end <= all_first) all_first = all_end = end;  // no output sees all taps
  add_outputs<kTaps, kVectors, kTail, true>(row, first, all_first, c, tail, sums);
  add_outputs<kTaps, kVectors, kTail, false>(row, all_first, all_end, c, tail, sums);
  add_outputs<kTaps, kVectors, kTail, true>(row, all_end, end, c, tail, sums);
#pragma GCC unroll 9
  for (int t = 0; t < kTaps; ++t) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      float* const dw = row.taps[t].dw + c + v * kWidth;
      store_lanes(dw, add(load_lanes(dw, lanes), sums[t][v]), lanes);
    }
  }
}

template <int kTaps>
static void gradient_taps(const DepthwiseGradientRow& row) {
  constexpr int kMany = kTaps * 2 + 3 <= kRegisters ? 2 : 1;
  std::int64_t c = 0;
  for (; c + kMany * kWidth <= row.channels; c += kMany * kWidth) {
    gradient_of<kTaps, kMany, false>(row, c, kWidth);
  }
  for (; c + kWidth <= row.channels; c += kWidth) {
    gradient_of<kTaps, 1, false>(row, c, kWidth);
  }
  if (c < row.channels) {
    gradient_of<kTaps, 1, true>(row, c, static_cast<int>(row.channels - c));
  }
}

template <int... kLess>
static void gradient_row(const DepthwiseGradientRow& row, std::integer_sequence<int, kLess...>) {
  static constexpr void (*kByTaps[])(const DepthwiseGradientRow&) = {gradient_taps<kLess + 1>...};
  kByTaps[row.tap_count - 1](row);
}
static void gradient_row(const DepthwiseGradientRow& row) {
  gradient_row(row, std::make_integer_sequence<int, kDepthwiseGradientTaps>());
}

}  // namespace lockstep::cpu::LOCKSTEP_ISA

const lockstep::DepthwiseKernels lockstep::cpu::LOCKSTEP_ISA::depthwise_table = {
    lockstep::cpu::LOCKSTEP_ISA::row, lockstep::cpu::LOCKSTEP_ISA::gradient_row};
