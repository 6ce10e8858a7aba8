// One axis of Winograd's F(4, 3): polynomial multiplication by values at the points 0, ±a, ±b and ∞
// (Lavin and Gray 2016; Barabasz et al. 2020 on the choice of points). a = 5/8 and b = 3/2 halve
// the error of 1 and 2. With N(x) = x (x² - a²) (x² - b²), the weights are divided by N'(point);
// data and results are not scaled. Order of the points: 0, a, -a, b, -b, ∞.
//
// A last tile of 3 outputs leaves out -b, one of 2 outputs ±b. The weights stay those of six
// points, so what N' lacks of its factors is multiplied into the data.
#pragma once

#include "kernels/cpu/simd.h"

namespace lockstep::cpu::LOCKSTEP_ISA::winograd {

constexpr double kA = 0.625, kB = 1.5, kA2 = kA * kA, kB2 = kB * kB;
constexpr double kAtZero = 1 / (kA2 * kB2), kAtA = 1 / (2 * kA2 * (kA2 - kB2)),
                 kAtB = 1 / (2 * kB2 * (kB2 - kA2));  // 1 / N', times the point where it has one

LOCKSTEP_INLINE V constant(double value) {
  return set1(static_cast<float>(value));
}

// Which of the six points is the i-th of a tile with kPoints of them.
template <int kPoints>
constexpr int point(int i) {
  return i == kPoints - 1 ? 5 : i;
}

// Data: kPoints pixels d to values t at the points (t is indexed by the six).
template <int kPoints>
LOCKSTEP_INLINE void data_to_points(const V* d, V* t) {
  const V a2 = constant(kA2), b2 = constant(kB2);
  if constexpr (kPoints == 6) {
    const V a = constant(kA), b = constant(kB), ab = constant(kA2 * kB2), sum = constant(kA2 + kB2);
    const V even_a = fnma(b2, d[2], d[4]), odd_a = fnma(b2, d[1], d[3]);
    const V even_b = fnma(a2, d[2], d[4]), odd_b = fnma(a2, d[1], d[3]);
    t[0] = fma(ab, d[0], fnma(sum, d[2], d[4]));
    t[1] = fma(a, odd_a, even_a);
    t[2] = fnma(a, odd_a, even_a);
    t[3] = fma(b, odd_b, even_b);
    t[4] = fnma(b, odd_b, even_b);
    t[5] = fma(ab, d[1], fnma(sum, d[3], d[5]));
  } else if constexpr (kPoints == 5) {
    const V b = constant(kB), ab = constant(kA * kB);
    const V odd = fnma(a2, d[1], d[3]);
    t[0] = mul(b, fnma(b, fnma(a2, d[0], d[2]), odd));
    t[1] = mul(constant(kB + kA), fnma(ab, d[1], fnma(constant(kB - kA), d[2], d[3])));
    t[2] = mul(constant(kB - kA), fma(ab, d[1], fnma(constant(kB + kA), d[2], d[3])));
    t[3] = mul(constant(2 * kB), odd);
    t[5] = fnma(b, odd, fnma(a2, d[2], d[4]));
  } else {
    const V even = mul(constant(kA2 - kB2), d[2]), odd = mul(constant((kA2 - kB2) * kA), d[1]);
    t[0] = mul(b2, sub(mul(a2, d[0]), d[2]));
    t[1] = add(even, odd);
    t[2] = sub(even, odd);
    t[5] = fnma(a2, d[1], d[3]);
  }
}

// Values at the points to kPoints - 2 outputs.
template <int kPoints>
LOCKSTEP_INLINE void points_to_output(const V* m, V* o) {
  const V a = constant(kA), b = constant(kB), a2 = constant(kA2), b2 = constant(kB2);
  const V even = add(m[1], m[2]), odd = sub(m[1], m[2]);
  if constexpr (kPoints == 6) {
    const V even_b = add(m[3], m[4]), odd_b = sub(m[3], m[4]);
    o[0] = add(add(m[0], even), even_b);
    o[1] = fma(b, odd_b, mul(a, odd));
    o[2] = fma(b2, even_b, mul(a2, even));
    o[3] = fma(constant(kB2 * kB), odd_b, fma(constant(kA2 * kA), odd, m[5]));
  } else if constexpr (kPoints == 5) {
    o[0] = add(add(m[0], even), m[3]);
    o[1] = fma(b, m[3], mul(a, odd));
    o[2] = fma(b2, m[3], fma(a2, even, m[5]));
  } else {
    o[0] = add(m[0], even);
    o[1] = fma(a, odd, m[5]);
  }
}

// Gradients g of kPoints - 2 outputs to values at the points: the transpose of points_to_output.
template <int kPoints>
LOCKSTEP_INLINE void output_to_points(const V* g, V* t) {
  const V a = constant(kA), b = constant(kB), a2 = constant(kA2), b2 = constant(kB2);
  t[0] = g[0];
  t[5] = g[kPoints - 3];
  if constexpr (kPoints == 6) {
    const V even = fma(a2, g[2], g[0]), odd = fma(a2, g[3], g[1]);
    const V even_b = fma(b2, g[2], g[0]), odd_b = fma(b2, g[3], g[1]);
    t[1] = fma(a, odd, even);
    t[2] = fnma(a, odd, even);
    t[3] = fma(b, odd_b, even_b);
    t[4] = fnma(b, odd_b, even_b);
  } else if constexpr (kPoints == 5) {
    const V even = fma(a2, g[2], g[0]);
    t[1] = fma(a, g[1], even);
    t[2] = fnma(a, g[1], even);
    t[3] = fma(b, fma(b, g[2], g[1]), g[0]);
  } else {
    t[1] = fma(a, g[1], g[0]);
    t[2] = fnma(a, g[1], g[0]);
  }
}

// Three weights to values at the six points, divided by N'.
LOCKSTEP_INLINE void weights_to_points(const V* w, V* t) {
  const V even_a = mul(constant(kAtA), fma(constant(kA2), w[2], w[0]));
  const V even_b = mul(constant(kAtB), fma(constant(kB2), w[2], w[0]));
  const V odd_a = mul(constant(kAtA * kA), w[1]), odd_b = mul(constant(kAtB * kB), w[1]);
  t[0] = mul(constant(kAtZero), w[0]);
  t[1] = add(even_a, odd_a);
  t[2] = sub(even_a, odd_a);
  t[3] = add(even_b, odd_b);
  t[4] = sub(even_b, odd_b);
  t[5] = w[2];
}

// The transpose of weights_to_points: values at the points to three gradients.
LOCKSTEP_INLINE void points_to_weights(const V* m, V* dw) {
  const V even_a = mul(constant(kAtA), add(m[1], m[2]));
  const V even_b = mul(constant(kAtB), add(m[3], m[4]));
  const V odd_a = mul(constant(kAtA * kA), sub(m[1], m[2]));
  dw[0] = fma(constant(kAtZero), m[0], add(even_a, even_b));
  dw[1] = fma(constant(kAtB * kB), sub(m[3], m[4]), odd_a);
  dw[2] = fma(constant(kB2), even_b, fma(constant(kA2), even_a, m[5]));
}

}  // namespace lockstep::cpu::LOCKSTEP_ISA::winograd
