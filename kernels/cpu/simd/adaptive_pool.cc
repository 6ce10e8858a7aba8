// Adaptive max and average pooling of one image (H, W, C): lanes are channels, places of a window
// follow one another row by row. An input place adds up what the windows that hold it send back in
// the outputs' order.
#include "kernels/cpu/simd.h"
#include "kernels/cpu/simd/tables.h"

namespace lockstep::cpu::LOCKSTEP_ISA {

namespace {

struct Span {
  std::int64_t begin, end;
};

LOCKSTEP_INLINE std::int64_t size_of(Span span) {
  return span.end - span.begin;
}

// What output o of `outputs` sees of `inputs`: [floor(o I / O), ceil((o + 1) I / O)).
LOCKSTEP_INLINE Span window(std::int64_t o, std::int64_t outputs, std::int64_t inputs) {
  return {o * inputs / outputs, ((o + 1) * inputs + outputs - 1) / outputs};
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
LOCKSTEP_INLINE void store_lanes(float* p, V v, int n) {
  if (n == kWidth) {
    store(p, v);
  } else {
    store(p, v, n);
  }
}

// step(output's place, rows, columns) for the windows of all outputs.
template <typename Step>
LOCKSTEP_INLINE void for_windows(const AdaptivePoolPlan& g, Step step) {
  for (std::int64_t oh = 0; oh < g.out_h; ++oh) {
    const Span rows = window(oh, g.out_h, g.in_h);
    for (std::int64_t ow = 0; ow < g.out_w; ++ow)
      step(oh * g.out_w + ow, rows, window(ow, g.out_w, g.in_w));
  }
}

LOCKSTEP_INLINE void clear(float* x, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) x[i] = 0.0f;
}

void max_forward(const AdaptivePoolPlan& g, const float* x, float* y, std::int64_t* place) {
  for_windows(
      g, [&](std::int64_t out, Span rows, Span columns) __attribute__((always_inline)) {
        for_channels(
            g.channels, [&](std::int64_t c, int n) __attribute__((always_inline)) {
              const std::int64_t first = rows.begin * g.in_w + columns.begin;
              V best = load_lanes(x + first * g.channels + c, n);
              I where = set1_int(static_cast<std::int32_t>(first));
              for (std::int64_t h = rows.begin; h < rows.end; ++h) {
                for (std::int64_t w = columns.begin; w < columns.end; ++w) {
                  const std::int64_t at = h * g.in_w + w;
                  const V v = load_lanes(x + at * g.channels + c, n);
                  // Greater, or the first NaN: nothing replaces a NaN.
                  const M wins = mask_and(mask_not(less_equal(v, best)), equal(best, best));
                  best = select(wins, v, best);
                  where = select(wins, set1_int(static_cast<std::int32_t>(at)), where);
                }
              }
              store_lanes(y + out * g.channels + c, best, n);
              std::int32_t places[kWidth];
              store_int(places, where);
              for (int i = 0; i < n; ++i) place[out * g.channels + c + i] = places[i];
            });
      });
}

void max_backward(const AdaptivePoolPlan& g, const float* dy, const std::int64_t* place,
                  float* dx) {
  clear(dx, g.in_h * g.in_w * g.channels);
  for (std::int64_t out = 0; out < g.out_h * g.out_w; ++out) {
    for (std::int64_t c = 0; c < g.channels; ++c) {
      const std::int64_t from = out * g.channels + c;
      dx[place[from] * g.channels + c] += dy[from];
    }
  }
}

void avg_forward(const AdaptivePoolPlan& g, const float* x, float* y) {
  for_windows(
      g, [&](std::int64_t out, Span rows, Span columns) __attribute__((always_inline)) {
        const V size = set1(static_cast<float>(size_of(rows) * size_of(columns)));
        for_channels(
            g.channels, [&](std::int64_t c, int n) __attribute__((always_inline)) {
              V sum = set1(0.0f);
              for (std::int64_t h = rows.begin; h < rows.end; ++h) {
                for (std::int64_t w = columns.begin; w < columns.end; ++w)
                  sum = add(sum, load_lanes(x + (h * g.in_w + w) * g.channels + c, n));
              }
              store_lanes(y + out * g.channels + c, div(sum, size), n);
            });
      });
}

void avg_backward(const AdaptivePoolPlan& g, const float* dy, float* dx) {
  clear(dx, g.in_h * g.in_w * g.channels);
  for_windows(
      g, [&](std::int64_t out, Span rows, Span columns) __attribute__((always_inline)) {
        const V size = set1(static_cast<float>(size_of(rows) * size_of(columns)));
        for_channels(
            g.channels, [&](std::int64_t c, int n) __attribute__((always_inline)) {
              const V share = div(load_lanes(dy + out * g.channels + c, n), size);
              for (std::int64_t h = rows.begin; h < rows.end; ++h) {
                for (std::int64_t w = columns.begin; w < columns.end; ++w) {
                  float* place = dx + (h * g.in_w + w) * g.channels + c;
                  store_lanes(place, add(load_lanes(place, n), share), n);
                }
              }
            });
      });
}

}  // namespace

const AdaptivePoolKernels kAdaptivePoolKernels = {max_forward, max_backward, avg_forward,
                                                  avg_backward};

}  // namespace lockstep::cpu::LOCKSTEP_ISA
