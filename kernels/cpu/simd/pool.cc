// Max and average pooling of one image (H, W, C): lanes are channels, places of a window follow one
// another row by row. Gradients are gathered: each input place adds up, in the outputs' order, what
// the windows that hold it send back, so that no two windows write to one place.
#include "kernels/cpu/simd.h"
#include "kernels/cpu/simd/tables.h"

namespace lockstep::cpu::LOCKSTEP_ISA {

namespace {

struct Span {
  std::int64_t begin, end;
};

LOCKSTEP_INLINE std::int64_t least(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}
LOCKSTEP_INLINE std::int64_t greatest(std::int64_t a, std::int64_t b) {
  return a > b ? a : b;
}

// The places of a window that lie inside the image: input = output · stride - pad + place.
LOCKSTEP_INLINE Span places(std::int64_t out, std::int64_t stride, std::int64_t pad,
                            std::int64_t kernel, std::int64_t in_size) {
  const std::int64_t origin = out * stride - pad;
  return {greatest(0, -origin), least(kernel, in_size - origin)};
}

// The outputs whose windows hold an input.
LOCKSTEP_INLINE Span windows(std::int64_t in, std::int64_t stride, std::int64_t pad,
                             std::int64_t kernel, std::int64_t out_size) {
  const std::int64_t last = in + pad, first = last - kernel + 1;
  return {first <= 0 ? 0 : (first + stride - 1) / stride, least(out_size, last / stride + 1)};
}

// step(c, n) for the channels, n at a time; n is a constant but for the last ones.
template <typename Step>
LOCKSTEP_INLINE void for_channels(std::int64_t channels, Step step) {
  std::int64_t c = 0;
  for (; c + kWidth <= channels; c += kWidth) step(c, kWidth);
  if (c < channels) step(c, static_cast<int>(channels - c));
}

LOCKSTEP_INLINE V load_lanes(const float* p, int n) {
  return n == kWidth ? load(p) : load(p, n);
}
LOCKSTEP_INLINE V load_lanes(const std::uint8_t* p, int n) {
  return n == kWidth ? load_u8(p) : load_u8(p, n);
}
LOCKSTEP_INLINE void store_lanes(float* p, V v, int n) {
  if (n == kWidth) {
    store(p, v);
  } else {
    store(p, v, n);
  }
}

// The greatest of the places rows x columns of a window, and where it is.
LOCKSTEP_INLINE void max_window(const PoolPlan& g, const float* window, Span rows, Span columns,
                                int n, V& best, V& place) {
  best = load_lanes(window + (rows.begin * g.in_w + columns.begin) * g.channels, n);
  place = set1(static_cast<float>(rows.begin * g.kernel_w + columns.begin));
  for (std::int64_t kh = rows.begin; kh < rows.end; ++kh) {
    for (std::int64_t kw = columns.begin; kw < columns.end; ++kw) {
      const V v = load_lanes(window + (kh * g.in_w + kw) * g.channels, n);
      // Greater, or the first NaN: "not <=" holds for both, and nothing replaces a NaN.
      const M wins = mask_and(mask_not(less_equal(v, best)), equal(best, best));
      best = select(wins, v, best);
      place = select(wins, set1(static_cast<float>(kh * g.kernel_w + kw)), place);
    }
  }
}

// kTwoByTwo: windows of 2 x 2 without padding, so that the compiler knows the places.
template <bool kTwoByTwo>
LOCKSTEP_INLINE void max_image(const PoolPlan& g, const float* x, float* y, std::uint8_t* argmax) {
  for (std::int64_t oh = 0; oh < g.out_h; ++oh) {
    const Span rows = kTwoByTwo ? Span{0, 2} : places(oh, g.stride_h, g.pad_h, g.kernel_h, g.in_h);
    for (std::int64_t ow = 0; ow < g.out_w; ++ow) {
      const Span columns =
          kTwoByTwo ? Span{0, 2} : places(ow, g.stride_w, g.pad_w, g.kernel_w, g.in_w);
      const std::int64_t origin = (oh * g.stride_h - g.pad_h) * g.in_w + ow * g.stride_w - g.pad_w;
      const std::int64_t out = (oh * g.out_w + ow) * g.channels;
      for_channels(
          g.channels, [&](std::int64_t c, int n) __attribute__((always_inline)) {
            V best, place;
            max_window(g, x + origin * g.channels + c, rows, columns, n, best, place);
            store_lanes(y + out + c, best, n);
            store_u8(argmax + out + c, place, n);
          });
    }
  }
}

void max_forward(const PoolPlan& g, const float* x, float* y, std::uint8_t* argmax) {
  if (g.kernel_h == 2 && g.kernel_w == 2 && g.pad_h == 0 && g.pad_w == 0) {
    max_image<true>(g, x, y, argmax);
  } else {
    max_image<false>(g, x, y, argmax);
  }
}

// Windows that neither overlap nor leave gaps: each output writes to all places of its own.
template <std::int64_t kKernel>
LOCKSTEP_INLINE void spread_tiles(const PoolPlan& g, const float* dy, const std::uint8_t* argmax,
                                  float* dx) {
  const V zero = set1(0.0f);
  const auto clear = [&](float* begin, float* end) __attribute__((always_inline)) {
    for (; begin < end; ++begin) *begin = 0.0f;
  };
  const std::int64_t row = g.in_w * g.channels, used = g.out_w * kKernel * g.channels;
  for (std::int64_t oh = 0; oh < g.out_h; ++oh) {
    float* top = dx + oh * kKernel * row;
    for (std::int64_t ow = 0; ow < g.out_w; ++ow) {
      const std::int64_t out = (oh * g.out_w + ow) * g.channels;
      for_channels(
          g.channels, [&](std::int64_t c, int n) __attribute__((always_inline)) {
            const V d = load_lanes(dy + out + c, n), place = load_lanes(argmax + out + c, n);
            float* target = top + ow * kKernel * g.channels + c;
            for (std::int64_t kh = 0; kh < kKernel; ++kh) {
              for (std::int64_t kw = 0; kw < kKernel; ++kw) {
                const V here = set1(static_cast<float>(kh * kKernel + kw));
                store_lanes(target + kh * row + kw * g.channels,
                            select(equal(place, here), d, zero), n);
              }
            }
          });
    }
    for (std::int64_t kh = 0; kh < kKernel; ++kh)
      clear(top + kh * row + used, top + (kh + 1) * row);
  }
  clear(dx + g.out_h * kKernel * row, dx + g.in_h * row);
}

void gather_windows(const PoolPlan& g, const float* dy, const std::uint8_t* argmax, float* dx) {
  for (std::int64_t ih = 0; ih < g.in_h; ++ih) {
    const Span rows = windows(ih, g.stride_h, g.pad_h, g.kernel_h, g.out_h);
    for (std::int64_t iw = 0; iw < g.in_w; ++iw) {
      const Span columns = windows(iw, g.stride_w, g.pad_w, g.kernel_w, g.out_w);
      float* target = dx + (ih * g.in_w + iw) * g.channels;
      for_channels(
          g.channels, [&](std::int64_t c, int n) __attribute__((always_inline)) {
            V sum = set1(0.0f);
            for (std::int64_t oh = rows.begin; oh < rows.end; ++oh) {
              for (std::int64_t ow = columns.begin; ow < columns.end; ++ow) {
                const std::int64_t out = (oh * g.out_w + ow) * g.channels + c;
                const std::int64_t place = (ih + g.pad_h - oh * g.stride_h) * g.kernel_w +
                                           (iw + g.pad_w - ow * g.stride_w);
                const M here = equal(load_lanes(argmax + out, n), set1(static_cast<float>(place)));
                sum = add(sum, select(here, load_lanes(dy + out, n), set1(0.0f)));
              }
            }
            store_lanes(target + c, sum, n);
          });
    }
  }
}

void max_backward(const PoolPlan& g, const float* dy, const std::uint8_t* argmax, float* dx) {
  const bool tiles = g.kernel_h == 2 && g.kernel_w == 2 && g.stride_h == 2 && g.stride_w == 2 &&
                     g.pad_h == 0 && g.pad_w == 0;
  if (tiles) {
    spread_tiles<2>(g, dy, argmax, dx);
  } else {
    gather_windows(g, dy, argmax, dx);
  }
}

// What an average divides by.
LOCKSTEP_INLINE float window_size(const PoolPlan& g, Span rows, Span columns) {
  const std::int64_t size = g.count_include_pad
                                ? g.kernel_h * g.kernel_w
                                : (rows.end - rows.begin) * (columns.end - columns.begin);
  return static_cast<float>(size);
}

void avg_forward(const PoolPlan& g, const float* x, float* y) {
  for (std::int64_t oh = 0; oh < g.out_h; ++oh) {
    const Span rows = places(oh, g.stride_h, g.pad_h, g.kernel_h, g.in_h);
    for (std::int64_t ow = 0; ow < g.out_w; ++ow) {
      const Span columns = places(ow, g.stride_w, g.pad_w, g.kernel_w, g.in_w);
      const V divisor = set1(window_size(g, rows, columns));
      const float* origin =
          x + ((oh * g.stride_h - g.pad_h) * g.in_w + (ow * g.stride_w - g.pad_w)) * g.channels;
      for_channels(
          g.channels, [&](std::int64_t c, int n) __attribute__((always_inline)) {
            V sum = set1(0.0f);
            for (std::int64_t kh = rows.begin; kh < rows.end; ++kh) {
              for (std::int64_t kw = columns.begin; kw < columns.end; ++kw)
                sum = add(sum, load_lanes(origin + (kh * g.in_w + kw) * g.channels + c, n));
            }
            store_lanes(y + (oh * g.out_w + ow) * g.channels + c, div(sum, divisor), n);
          });
    }
  }
}

void avg_backward(const PoolPlan& g, const float* dy, float* dx) {
  for (std::int64_t ih = 0; ih < g.in_h; ++ih) {
    const Span rows = windows(ih, g.stride_h, g.pad_h, g.kernel_h, g.out_h);
    for (std::int64_t iw = 0; iw < g.in_w; ++iw) {
      const Span columns = windows(iw, g.stride_w, g.pad_w, g.kernel_w, g.out_w);
      for_channels(
          g.channels, [&](std::int64_t c, int n) __attribute__((always_inline)) {
            V sum = set1(0.0f);
            for (std::int64_t oh = rows.begin; oh < rows.end; ++oh) {
              const Span in_rows = places(oh, g.stride_h, g.pad_h, g.kernel_h, g.in_h);
              for (std::int64_t ow = columns.begin; ow < columns.end; ++ow) {
                const Span in_columns = places(ow, g.stride_w, g.pad_w, g.kernel_w, g.in_w);
                const V d = load_lanes(dy + (oh * g.out_w + ow) * g.channels + c, n);
                sum = add(sum, div(d, set1(window_size(g, in_rows, in_columns))));
              }
            }
            store_lanes(dx + (ih * g.in_w + iw) * g.channels + c, sum, n);
          });
    }
  }
}

}  // namespace

const PoolKernels kPoolKernels = {max_forward, max_backward, avg_forward, avg_backward};

}  // namespace lockstep::cpu::LOCKSTEP_ISA
