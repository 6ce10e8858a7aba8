// Sums over rows and affine maps by column of a (rows, channels) array: lanes are channels. A sum
// runs over rows in runs of kRun terms; the runs' sums are added in order.
#include "kernels/cpu/simd.h"
#include "kernels/cpu/simd/tables.h"

namespace lockstep::cpu::LOCKSTEP_ISA {

namespace {

constexpr std::int64_t kRun = 128;

LOCKSTEP_INLINE int lanes_from(std::int64_t channel, std::int64_t channels) {
  const std::int64_t left = channels - channel;
  return left < kWidth ? static_cast<int>(left) : kWidth;
}

// kCount sums over the rows of kVectors neighbouring vectors of channels, the last of which has n
// lanes. term(at, n, mean, run): adds the elements at offset `at` into run[0 .. kCount).
template <int kCount, int kVectors, typename Term>
LOCKSTEP_INLINE void sum_block(std::int64_t rows, std::int64_t channels, std::int64_t c, int n,
                               const float* mean, float* const* sums, Term term) {
  V total[kVectors][kCount], centre[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    centre[v] = mean ? load(mean + c + v * kWidth, n) : set1(0.0f);
    for (int j = 0; j < kCount; ++j) total[v][j] = set1(0.0f);
  }
  for (std::int64_t start = 0; start < rows; start += kRun) {
    const std::int64_t end = start + kRun < rows ? start + kRun : rows;
    V run[kVectors][kCount];
    for (int v = 0; v < kVectors; ++v) {
      for (int j = 0; j < kCount; ++j) run[v][j] = set1(0.0f);
    }
    for (std::int64_t row = start; row < end; ++row) {
      for (int v = 0; v < kVectors; ++v)
        term(row * channels + c + v * kWidth, n, centre[v], run[v]);
    }
    for (int v = 0; v < kVectors; ++v) {
      for (int j = 0; j < kCount; ++j) total[v][j] = add(total[v][j], run[v][j]);
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    for (int j = 0; j < kCount; ++j) store(sums[j] + c + v * kWidth, total[v][j], n);
  }
}

// Several vectors a pass keep that many chains of additions going.
template <int kCount, typename Term>
LOCKSTEP_INLINE void sum_columns(std::int64_t rows, std::int64_t channels, const float* mean,
                                 float* const* sums, Term term) {
  std::int64_t c = 0;
  for (; c + 4 * kWidth <= channels; c += 4 * kWidth)
    sum_block<kCount, 4>(rows, channels, c, kWidth, mean, sums, term);
  for (; c + kWidth <= channels; c += kWidth)
    sum_block<kCount, 1>(rows, channels, c, kWidth, mean, sums, term);
  if (c < channels)
    sum_block<kCount, 1>(rows, channels, c, lanes_from(c, channels), mean, sums, term);
}

LOCKSTEP_INLINE V load_lanes(const float* p, int n) {
  return n == kWidth ? load(p) : load(p, n);
}

void column_sums(const float* x, std::int64_t rows, std::int64_t channels, float* sums) {
  sum_columns<1>(
      rows, channels, nullptr,
      &sums, [=](std::int64_t at, int n, V, V* run) __attribute__((always_inline)) {
        run[0] = add(run[0], load_lanes(x + at, n));
      });
}

void centred_squares(const float* x, const float* mean, std::int64_t rows, std::int64_t channels,
                     float* sums) {
  sum_columns<1>(
      rows, channels, mean,
      &sums, [=](std::int64_t at, int n, V m, V* run) __attribute__((always_inline)) {
        const V d = sub(load_lanes(x + at, n), m);
        run[0] = fma(d, d, run[0]);
      });
}

void gradient_sums(const float* x, const float* dy, const float* mean, std::int64_t rows,
                   std::int64_t channels, float* sum_dy, float* sum_dy_x) {
  float* const sums[] = {sum_dy, sum_dy_x};
  sum_columns<2>(
      rows, channels, mean,
      sums, [=](std::int64_t at, int n, V m, V* run) __attribute__((always_inline)) {
        const V d = load_lanes(dy + at, n);
        run[0] = add(run[0], d);
        run[1] = fma(d, sub(load_lanes(x + at, n), m), run[1]);
      });
}

void affine(const float* x, const float* mean, const float* scale, const float* shift,
            std::int64_t rows, std::int64_t channels, float* y) {
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t at = row * channels;
    for (std::int64_t c = 0; c < channels; c += kWidth) {
      const int n = lanes_from(c, channels);
      if (n == kWidth) {
        const V d = sub(load(x + at + c), load(mean + c));
        store(y + at + c, fma(d, load(scale + c), load(shift + c)));
      } else {
        const V d = sub(load(x + at + c, n), load(mean + c, n));
        store(y + at + c, fma(d, load(scale + c, n), load(shift + c, n)), n);
      }
    }
  }
}

void gradient_data(const float* x, const float* dy, const float* mean, const float* a,
                   const float* b, const float* slope, std::int64_t rows, std::int64_t channels,
                   float* dx) {
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t at = row * channels;
    for (std::int64_t c = 0; c < channels; c += kWidth) {
      const int n = lanes_from(c, channels);
      if (n == kWidth) {
        const V d = sub(load(x + at + c), load(mean + c));
        const V common = fma(d, load(slope + c), load(b + c));
        store(dx + at + c, sub(mul(load(a + c), load(dy + at + c)), common));
      } else {
        const V d = sub(load(x + at + c, n), load(mean + c, n));
        const V common = fma(d, load(slope + c, n), load(b + c, n));
        store(dx + at + c, sub(mul(load(a + c, n), load(dy + at + c, n)), common), n);
      }
    }
  }
}

void spread(const float* x, float divisor, std::int64_t rows, std::int64_t channels, float* y) {
  const V size = set1(divisor);
  for (std::int64_t c = 0; c < channels; c += kWidth) {
    const int n = lanes_from(c, channels);
    const V value = div(load(x + c, n), size);
    for (std::int64_t row = 0; row < rows; ++row) store(y + row * channels + c, value, n);
  }
}

void product_sums(const float* a, const float* b, std::int64_t rows, std::int64_t channels,
                  float* sums) {
  sum_columns<1>(
      rows, channels, nullptr,
      &sums, [=](std::int64_t at, int n, V, V* run) __attribute__((always_inline)) {
        run[0] = fma(load_lanes(a + at, n), load_lanes(b + at, n), run[0]);
      });
}

void scale_columns(const float* x, const float* factor, const float* shift, std::int64_t rows,
                   std::int64_t channels, float* y) {
  const V none = set1(0.0f);
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t at = row * channels;
    std::int64_t c = 0;
    for (; c + kWidth <= channels; c += kWidth)
      store(y + at + c,
            fma(load(x + at + c), load(factor + c), shift == nullptr ? none : load(shift + c)));
    const int n = static_cast<int>(channels - c);
    if (n > 0)
      store(y + at + c,
            fma(load(x + at + c, n), load(factor + c, n),
                shift == nullptr ? none : load(shift + c, n)),
            n);
  }
}

}  // namespace

const NormKernels kNormKernels = {column_sums,   centred_squares, affine,       gradient_sums,
                                  gradient_data, spread,          product_sums, scale_columns};

}  // namespace lockstep::cpu::LOCKSTEP_ISA
