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

void max_forward(const PoolPlan& g, const float* x, float* y, std::uint8_t* argmax) {
  for (std::int64_t oh = 0; oh < g.out_h; ++oh) {
    const Span rows = places(oh, g.stride_h, g.pad_h, g.kernel_h, g.in_h);
    for (std::int64_t ow = 0; ow < g.out_w; ++ow) {
      const Span columns = places(ow, g.stride_w, g.pad_w, g.kernel_w, g.in_w);
      const float* origin =
          x + ((oh * g.stride_h - g.pad_h) * g.in_w + (ow * g.stride_w - g.pad_w)) * g.channels;
      const std::int64_t out = (oh * g.out_w + ow) * g.channels;
      for (std::int64_t c = 0; c < g.channels; c += kWidth) {
        const int n = static_cast<int>(least(kWidth, g.channels - c));
        const float* first = origin + (rows.begin * g.in_w + columns.begin) * g.channels + c;
        V best = n == kWidth ? load(first) : load(first, n);
        V place = set1(static_cast<float>(rows.begin * g.kernel_w + columns.begin));
        for (std::int64_t kh = rows.begin; kh < rows.end; ++kh) {
          for (std::int64_t kw = columns.begin; kw < columns.end; ++kw) {
            const float* p = origin + (kh * g.in_w + kw) * g.channels + c;
            const V v = n == kWidth ? load(p) : load(p, n);
            // Greater, or the first NaN: "not <=" holds for both, and nothing replaces a NaN.
            const M wins = mask_and(mask_not(less_equal(v, best)), equal(best, best));
            best = select(wins, v, best);
            place = select(wins, set1(static_cast<float>(kh * g.kernel_w + kw)), place);
          }
        }
        if (n == kWidth) {
          store(y + out + c, best);
        } else {
          store(y + out + c, best, n);
        }
        store_u8(argmax + out + c, place, n);
      }
    }
  }
}

void max_backward(const PoolPlan& g, const float* dy, const std::uint8_t* argmax, float* dx) {
  for (std::int64_t ih = 0; ih < g.in_h; ++ih) {
    const Span rows = windows(ih, g.stride_h, g.pad_h, g.kernel_h, g.out_h);
    for (std::int64_t iw = 0; iw < g.in_w; ++iw) {
      const Span columns = windows(iw, g.stride_w, g.pad_w, g.kernel_w, g.out_w);
      float* target = dx + (ih * g.in_w + iw) * g.channels;
      for (std::int64_t c = 0; c < g.channels; c += kWidth) {
        const int n = static_cast<int>(least(kWidth, g.channels - c));
        V sum = set1(0.0f);
        for (std::int64_t oh = rows.begin; oh < rows.end; ++oh) {
          for (std::int64_t ow = columns.begin; ow < columns.end; ++ow) {
            const std::int64_t out = (oh * g.out_w + ow) * g.channels + c;
            const std::int64_t place =
                (ih + g.pad_h - oh * g.stride_h) * g.kernel_w + (iw + g.pad_w - ow * g.stride_w);
            const M here = equal(n == kWidth ? load_u8(argmax + out) : load_u8(argmax + out, n),
                                 set1(static_cast<float>(place)));
            const V d = n == kWidth ? load(dy + out) : load(dy + out, n);
            sum = add(sum, select(here, d, set1(0.0f)));
          }
        }
        if (n == kWidth) {
          store(target + c, sum);
        } else {
          store(target + c, sum, n);
        }
      }
    }
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
      for (std::int64_t c = 0; c < g.channels; c += kWidth) {
        const int n = static_cast<int>(least(kWidth, g.channels - c));
        V sum = set1(0.0f);
        for (std::int64_t kh = rows.begin; kh < rows.end; ++kh) {
          for (std::int64_t kw = columns.begin; kw < columns.end; ++kw)
            sum = add(sum, load(origin + (kh * g.in_w + kw) * g.channels + c, n));
        }
        store(y + (oh * g.out_w + ow) * g.channels + c, div(sum, divisor), n);
      }
    }
  }
}

void avg_backward(const PoolPlan& g, const float* dy, float* dx) {
  for (std::int64_t ih = 0; ih < g.in_h; ++ih) {
    const Span rows = windows(ih, g.stride_h, g.pad_h, g.kernel_h, g.out_h);
    for (std::int64_t iw = 0; iw < g.in_w; ++iw) {
      const Span columns = windows(iw, g.stride_w, g.pad_w, g.kernel_w, g.out_w);
      for (std::int64_t c = 0; c < g.channels; c += kWidth) {
        const int n = static_cast<int>(least(kWidth, g.channels - c));
        V sum = set1(0.0f);
        for (std::int64_t oh = rows.begin; oh < rows.end; ++oh) {
          const Span in_rows = places(oh, g.stride_h, g.pad_h, g.kernel_h, g.in_h);
          for (std::int64_t ow = columns.begin; ow < columns.end; ++ow) {
            const Span in_columns = places(ow, g.stride_w, g.pad_w, g.kernel_w, g.in_w);
            const V d = load(dy + (oh * g.out_w + ow) * g.channels + c, n);
            sum = add(sum, div(d, set1(window_size(g, in_rows, in_columns))));
          }
        }
        store(dx + (ih * g.in_w + iw) * g.channels + c, sum, n);
      }
    }
  }
}

}  // namespace

const PoolKernels kPoolKernels = {max_forward, max_backward, avg_forward, avg_backward};

}  // namespace lockstep::cpu::LOCKSTEP_ISA
