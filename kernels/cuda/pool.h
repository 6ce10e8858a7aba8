// The window of a pooling, over packs of channels: what pooling has in common alone and behind a
// batch norm.
#pragma once

#include "kernels/cuda/checks.h"
#include "kernels/cuda/columns.h"
#include "kernels/cuda/pixels.h"

namespace lockstep::gpu {

struct PoolAxes {
  WindowAxis h, w;
  PixelGrid inputs, outputs;
  std::int64_t channels;
  bool count_include_pad;
};

// Throws where the geometry, or x and y for it, do not fit.
PoolAxes pool_axes(const PoolGeometry& geometry, const Tensor& x, const Tensor& y);
void check_places(const PoolGeometry& geometry);  // of a maximum: 255 at most

// The greatest of a window and its place; value_at(offset, values) gives the N values of an input
// pixel. Greater, or the first NaN: nothing replaces a NaN.
template <int N, typename ValueAt>
__device__ __forceinline__ void max_window(const PoolAxes& axes, const Pixel& output,
                                           std::int64_t channel, const ValueAt& value_at,
                                           float (&best)[N], std::uint8_t (&place)[N]) {
  bool started = false;
  for (int kh = 0; kh < axes.h.kernel; ++kh) {
    const int h = axes.h.input(output.h, kh);
    if (h < 0 || h >= axes.h.in) continue;
    for (int kw = 0; kw < axes.w.kernel; ++kw) {
      const int w = axes.w.input(output.w, kw);
      if (w < 0 || w >= axes.w.in) continue;
      float values[N];
      value_at(axes.inputs.number(output.image, h, w) * axes.channels + channel, values);
#pragma unroll
      for (int i = 0; i < N; ++i) {
        if (started && (values[i] <= best[i] || best[i] != best[i])) continue;
        best[i] = values[i];
        place[i] = static_cast<std::uint8_t>(kh * axes.w.kernel + kw);
      }
      started = true;
    }
  }
}

// What the windows that hold an input pixel send back to it, in the order of the outputs.
// slope_at(offset, slopes) gives the N gradients of an output pixel.
template <int N, typename SlopeAt>
__device__ __forceinline__ void gather_windows(const PoolAxes& axes, const Pixel& input,
                                               std::int64_t channel, const std::uint8_t* argmax,
                                               std::int64_t count, bool whole,
                                               const SlopeAt& slope_at, float (&sum)[N]) {
  for (int oh = axes.h.first_output(input.h); oh < axes.h.end_output(input.h); ++oh) {
    for (int ow = axes.w.first_output(input.w); ow < axes.w.end_output(input.w); ++ow) {
      const int place =
          (input.h - axes.h.input(oh, 0)) * axes.w.kernel + input.w - axes.w.input(ow, 0);
      const std::int64_t offset =
          axes.outputs.number(input.image, oh, ow) * axes.channels + channel;
      std::uint8_t winner[N];
      float slopes[N];
      load_some<N>(argmax + offset, count, whole, winner);
      slope_at(offset, slopes);
#pragma unroll
      for (int i = 0; i < N; ++i)
        if (winner[i] == place) sum[i] += slopes[i];
    }
  }
}

}  // namespace lockstep::gpu
