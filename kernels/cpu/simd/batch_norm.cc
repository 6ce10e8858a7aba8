// Batch norm's moments in one pass over memory, and batch norm with a residual and a ReLU behind
// it. Channels go in groups of 16, one word of the mask each, whatever the width of a vector.
#include "kernels/cpu/simd.h"
#include "kernels/cpu/simd/tables.h"

namespace lockstep::cpu::LOCKSTEP_ISA {

namespace {

constexpr std::int64_t kRun = 128, kGroup = 16;
// Groups whose sums stay in registers together: that many chains of additions.
constexpr int kGroupsAtOnce = kVectorsOf16 >= 4 ? 1 : 4 / kVectorsOf16;

template <bool kTail>
LOCKSTEP_INLINE V load_group(const float* p, int v, std::int64_t left) {
  return kTail ? load(p + v * kWidth, lanes_within(left, v)) : load(p + v * kWidth);
}
template <bool kTail>
LOCKSTEP_INLINE void store_group(float* p, V value, int v, std::int64_t left) {
  if (kTail) {
    store(p + v * kWidth, value, lanes_within(left, v));
  } else {
    store(p + v * kWidth, value);
  }
}

LOCKSTEP_INLINE int load_word(const std::uint8_t* mask) {
  return mask[0] | mask[1] << 8;
}

// Calls visit(channel, channels left, whether they are less than a group) for each group.
template <typename Visit>
LOCKSTEP_INLINE void for_each_group(std::int64_t channels, Visit visit) {
  std::int64_t c = 0;
  for (; c + kGroup <= channels; c += kGroup) visit.template operator()<false>(c, kGroup);
  if (c < channels) visit.template operator()<true>(c, channels - c);
}

// Calls block<groups, tail>(channel, channels left) for all channels.
template <typename Block>
LOCKSTEP_INLINE void for_each_block(std::int64_t channels, Block block) {
  constexpr std::int64_t kAtOnce = kGroupsAtOnce * kGroup;
  std::int64_t c = 0;
  for (; c + kAtOnce <= channels; c += kAtOnce)
    block.template operator()<kGroupsAtOnce, false>(c, kAtOnce);
  for (; c + kGroup <= channels; c += kGroup) block.template operator()<1, false>(c, kGroup);
  if (c < channels) block.template operator()<1, true>(c, channels - c);
}

// A run's mean and squares join those of the runs before it by the formula of Chan, Golub and
// LeVeque (1983); the second pass over a run finds it in the first-level cache.
template <int kGroups, bool kTail>
LOCKSTEP_INLINE void moments_of(const float* x, std::int64_t rows, std::int64_t channels,
                                std::int64_t left, float* mean, float* squares) {
  constexpr int kVectors = kGroups * kVectorsOf16;
  V total_mean[kVectors], total_squares[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) total_mean[v] = total_squares[v] = set1(0.0f);
  for (std::int64_t start = 0; start < rows; start += kRun) {
    const std::int64_t count = rows - start < kRun ? rows - start : kRun;
    const float* const run = x + start * channels;
    V run_mean[kVectors], run_squares[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) run_mean[v] = run_squares[v] = set1(0.0f);
    for (std::int64_t row = 0; row < count; ++row) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v)
        run_mean[v] = add(run_mean[v], load_group<kTail>(run + row * channels, v, left));
    }
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v)
      run_mean[v] = div(run_mean[v], set1(static_cast<float>(count)));
    for (std::int64_t row = 0; row < count; ++row) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        const V d = sub(load_group<kTail>(run + row * channels, v, left), run_mean[v]);
        run_squares[v] = fma(d, d, run_squares[v]);
      }
    }
    const double before = static_cast<double>(start), now = static_cast<double>(count);
    const V share = set1(static_cast<float>(now / (before + now)));
    const V weight = set1(static_cast<float>(before * now / (before + now)));
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const V delta = sub(run_mean[v], total_mean[v]);
      total_mean[v] = fma(delta, share, total_mean[v]);
      total_squares[v] = fma(mul(delta, delta), weight, add(total_squares[v], run_squares[v]));
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    store_group<kTail>(mean, total_mean[v], v, left);
    store_group<kTail>(squares, total_squares[v], v, left);
  }
}

void moments(const float* x, std::int64_t rows, std::int64_t channels, float* mean,
             float* squares) {
  for_each_block(
      channels, [=]<int kGroups, bool kTail>(std::int64_t c,
                                             std::int64_t left) __attribute__((always_inline)) {
        moments_of<kGroups, kTail>(x + c, rows, channels, left, mean + c, squares + c);
      });
}

template <bool kResidual>
LOCKSTEP_INLINE void relu_rows(const float* x, const float* mean, const float* scale,
                               const float* shift, const float* residual, std::int64_t rows,
                               std::int64_t channels, float* y, std::uint8_t* mask) {
  const V zero = set1(0.0f);
  for (std::int64_t row = 0; row < rows; ++row) {
    for_each_group(
        channels, [&]<bool kTail>(std::int64_t c,
                                  std::int64_t left) __attribute__((always_inline)) {
          int word = 0;
#pragma GCC unroll 4
          for (int v = 0; v < kVectorsOf16; ++v) {
            const V d =
                sub(load_group<kTail>(x + c, v, left), load_group<kTail>(mean + c, v, left));
            V value = fma(d, load_group<kTail>(scale + c, v, left),
                          load_group<kTail>(shift + c, v, left));
            if (kResidual) value = add(value, load_group<kTail>(residual + c, v, left));
            // As the activation has it: a NaN passes, and so does its gradient.
            word |= bits_of_mask(mask_not(less_equal(value, zero))) << v * kWidth;
            store_group<kTail>(y + c, select(less(value, zero), zero, value), v, left);
          }
          if (mask) {
            *mask++ = static_cast<std::uint8_t>(word);
            *mask++ = static_cast<std::uint8_t>(word >> 8);
          }
        });
    x += channels;
    y += channels;
    if (kResidual) residual += channels;
  }
}

void relu_forward(const float* x, const float* mean, const float* scale, const float* shift,
                  const float* residual, std::int64_t rows, std::int64_t channels, float* y,
                  std::uint8_t* mask) {
  if (residual) {
    relu_rows<true>(x, mean, scale, shift, residual, rows, channels, y, mask);
  } else {
    relu_rows<false>(x, mean, scale, shift, residual, rows, channels, y, mask);
  }
}

// The sums run over the rows as those of NormKernels::gradient_sums.
template <int kGroups, bool kTail>
LOCKSTEP_INLINE void relu_sums_of(const float* x, const float* dy, const std::uint8_t* mask,
                                  std::int64_t mask_stride, const float* mean, std::int64_t rows,
                                  std::int64_t channels, std::int64_t left, float* sum_dy,
                                  float* sum_dy_x) {
  constexpr int kVectors = kGroups * kVectorsOf16;
  const V zero = set1(0.0f);
  V centre[kVectors], total[kVectors], total_x[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    centre[v] = load_group<kTail>(mean, v, left);
    total[v] = total_x[v] = zero;
  }
  for (std::int64_t start = 0; start < rows; start += kRun) {
    const std::int64_t end = start + kRun < rows ? start + kRun : rows;
    V run[kVectors], run_x[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) run[v] = run_x[v] = zero;
    for (std::int64_t row = start; row < end; ++row) {
      const std::uint8_t* const words = mask + row * mask_stride;
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        const int bits = load_word(words + v / kVectorsOf16 * 2) >> v % kVectorsOf16 * kWidth;
        const V d =
            select(mask_of_bits(bits), load_group<kTail>(dy + row * channels, v, left), zero);
        run[v] = add(run[v], d);
        run_x[v] = fma(d, sub(load_group<kTail>(x + row * channels, v, left), centre[v]), run_x[v]);
      }
    }
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      total[v] = add(total[v], run[v]);
      total_x[v] = add(total_x[v], run_x[v]);
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    store_group<kTail>(sum_dy, total[v], v, left);
    store_group<kTail>(sum_dy_x, total_x[v], v, left);
  }
}

LOCKSTEP_INLINE std::int64_t mask_stride_of(std::int64_t channels) {
  return (channels + kGroup - 1) / kGroup * 2;
}

void relu_gradient_sums(const float* x, const float* dy, const std::uint8_t* mask,
                        const float* mean, std::int64_t rows, std::int64_t channels, float* sum_dy,
                        float* sum_dy_x) {
  for_each_block(
      channels, [=]<int kGroups, bool kTail>(std::int64_t c,
                                             std::int64_t left) __attribute__((always_inline)) {
        relu_sums_of<kGroups, kTail>(x + c, dy + c, mask + c / kGroup * 2, mask_stride_of(channels),
                                     mean + c, rows, channels, left, sum_dy + c, sum_dy_x + c);
      });
}

template <bool kResidual>
LOCKSTEP_INLINE void relu_data_rows(const float* x, const float* dy, const std::uint8_t* mask,
                                    const float* mean, const float* a, const float* b,
                                    const float* slope, std::int64_t rows, std::int64_t channels,
                                    float* dx, float* dresidual) {
  const V zero = set1(0.0f);
  for (std::int64_t row = 0; row < rows; ++row) {
    for_each_group(
        channels, [&]<bool kTail>(std::int64_t c,
                                  std::int64_t left) __attribute__((always_inline)) {
          const int word = load_word(mask);
          mask += 2;
#pragma GCC unroll 4
          for (int v = 0; v < kVectorsOf16; ++v) {
            const V d =
                select(mask_of_bits(word >> v * kWidth), load_group<kTail>(dy + c, v, left), zero);
            const V difference =
                sub(load_group<kTail>(x + c, v, left), load_group<kTail>(mean + c, v, left));
            const V common = fma(difference, load_group<kTail>(slope + c, v, left),
                                 load_group<kTail>(b + c, v, left));
            if (kResidual) store_group<kTail>(dresidual + c, d, v, left);
            store_group<kTail>(dx + c, sub(mul(load_group<kTail>(a + c, v, left), d), common), v,
                               left);
          }
        });
    x += channels;
    dy += channels;
    dx += channels;
    if (kResidual) dresidual += channels;
  }
}

void relu_gradient_data(const float* x, const float* dy, const std::uint8_t* mask,
                        const float* mean, const float* a, const float* b, const float* slope,
                        std::int64_t rows, std::int64_t channels, float* dx, float* dresidual) {
  if (dresidual) {
    relu_data_rows<true>(x, dy, mask, mean, a, b, slope, rows, channels, dx, dresidual);
  } else {
    relu_data_rows<false>(x, dy, mask, mean, a, b, slope, rows, channels, dx, dresidual);
  }
}

}  // namespace

const BatchNormKernels kBatchNormKernels = {
    .moments = moments,
    .relu_forward = relu_forward,
    .relu_gradient_sums = relu_gradient_sums,
    .relu_gradient_data = relu_gradient_data,
};

}  // namespace lockstep::cpu::LOCKSTEP_ISA
