// Layer norm of rows. Along a row, element i belongs to virtual lane i mod 16; the gradients of
// gamma and beta are sums over rows in runs of kRun, which are added in order.
#include "kernels/cpu/simd.h"
#include "kernels/cpu/simd/tables.h"

namespace lockstep::cpu::LOCKSTEP_ISA {

namespace {

constexpr std::int64_t kRun = 128;

// step(i, j, n): elements i .. i + n of the row, which are vector j of the 16 lanes.
template <typename Step>
LOCKSTEP_INLINE void for_lanes16(std::int64_t count, Step step) {
  std::int64_t start = 0;
  for (; start + 16 <= count; start += 16) {
    for (int j = 0; j < kVectorsOf16; ++j) step(start + j * kWidth, j, kWidth);
  }
  for (int j = 0; j < kVectorsOf16; ++j) {
    const int n = lanes_within(count - start, j);
    if (n > 0) step(start + j * kWidth, j, n);
  }
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

void forward(const float* x, const float* gamma, const float* beta, float epsilon,
             std::int64_t rows, std::int64_t channels, float* y, float* mean, float* inv_std) {
  const auto count = static_cast<float>(channels);
  for (std::int64_t row = 0; row < rows; ++row, x += channels, y += channels) {
    Lanes16 lanes = lanes16(0.0f);
    for_lanes16(
        channels, [&](std::int64_t i, int j, int n) __attribute__((always_inline)) {
          lanes.v[j] = add(lanes.v[j], load_lanes(x + i, n));
        });
    mean[row] = sum(lanes) / count;
    const V centre = set1(mean[row]), zero = set1(0.0f);
    lanes = lanes16(0.0f);
    for_lanes16(
        channels, [&](std::int64_t i, int j, int n) __attribute__((always_inline)) {
          const V d = sub(load_lanes(x + i, n), centre);
          const V inside = n == kWidth ? d : select(first_lanes(n), d, zero);
          lanes.v[j] = fma(inside, inside, lanes.v[j]);
        });
    inv_std[row] = 1.0f / __builtin_sqrtf(sum(lanes) / count + epsilon);
    const V factor = set1(inv_std[row]);
    for_lanes16(
        channels, [&](std::int64_t i, int, int n) __attribute__((always_inline)) {
          const V normal = mul(sub(load_lanes(x + i, n), centre), factor);
          store_lanes(y + i, fma(normal, load_lanes(gamma + i, n), load_lanes(beta + i, n)), n);
        });
  }
}

LOCKSTEP_INLINE void clear(float* x, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) x[i] = 0.0f;
}
LOCKSTEP_INLINE void add_to(const float* x, float* y, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) y[i] += x[i];
}

// With x̂ = (x - mean) inv_std: dgamma = Σ dy x̂, dbeta = Σ dy, and in a row of C, g = dy gamma:
// dx = inv_std (g - Σ g / C - x̂ Σ g x̂ / C)     (Ba, Kiros, Hinton 2016)
void backward(const float* x, const float* dy, const float* gamma, const float* mean,
              const float* inv_std, std::int64_t rows, std::int64_t channels, float* run,
              float* dgamma, float* dbeta, float* dx) {
  const auto count = static_cast<float>(channels);
  float *run_gamma = run, *run_beta = run + channels;
  clear(dgamma, channels);
  clear(dbeta, channels);
  for (std::int64_t start = 0; start < rows; start += kRun) {
    const std::int64_t end = start + kRun < rows ? start + kRun : rows;
    clear(run, 2 * channels);
    for (std::int64_t row = start; row < end; ++row) {
      const std::int64_t at = row * channels;
      const V centre = set1(mean[row]), factor = set1(inv_std[row]);
      Lanes16 sums = lanes16(0.0f), products = lanes16(0.0f);
      for_lanes16(
          channels, [&](std::int64_t i, int j, int n) __attribute__((always_inline)) {
            const V d = load_lanes(dy + at + i, n);
            const V normal = mul(sub(load_lanes(x + at + i, n), centre), factor);
            store_lanes(run_gamma + i, fma(d, normal, load_lanes(run_gamma + i, n)), n);
            store_lanes(run_beta + i, add(d, load_lanes(run_beta + i, n)), n);
            const V g = mul(d, load_lanes(gamma + i, n));  // 0 in lanes beyond the row
            sums.v[j] = add(sums.v[j], g);
            products.v[j] = fma(g, normal, products.v[j]);
          });
      if (!dx) continue;
      const V shift = set1(sum(sums) / count), slope = set1(sum(products) / count);
      for_lanes16(
          channels, [&](std::int64_t i, int, int n) __attribute__((always_inline)) {
            const V normal = mul(sub(load_lanes(x + at + i, n), centre), factor);
            const V g = mul(load_lanes(dy + at + i, n), load_lanes(gamma + i, n));
            store_lanes(dx + at + i, mul(factor, fnma(normal, slope, sub(g, shift))), n);
          });
    }
    add_to(run_gamma, dgamma, channels);
    add_to(run_beta, dbeta, channels);
  }
}

}  // namespace

const LayerNormKernels kLayerNormKernels = {forward, backward};

}  // namespace lockstep::cpu::LOCKSTEP_ISA
