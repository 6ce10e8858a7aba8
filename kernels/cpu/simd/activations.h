// The activations as functions of one vector and of their parameter, which most have not. A NaN
// passes through.
#pragma once

#include "kernels/cpu/simd/math.h"

namespace lockstep::cpu::LOCKSTEP_ISA {

LOCKSTEP_INLINE V no_activation(V x, V) {
  return x;
}

LOCKSTEP_INLINE V relu_of(V x, V) {
  const V zero = set1(0.0f);
  return select(less(x, zero), zero, x);
}

LOCKSTEP_INLINE V sigmoid_of(V x, V) {
  return sigmoid(x);
}

LOCKSTEP_INLINE V tanh_of(V x, V) {
  return tanh(x);
}

LOCKSTEP_INLINE V leaky_relu_of(V x, V slope) {
  return select(less(x, set1(0.0f)), mul(x, slope), x);
}

LOCKSTEP_INLINE V elu_of(V x, V alpha) {
  const V zero = set1(0.0f);
  return select(less(zero, x), x, mul(alpha, expm1_negative(min(zero, x))));
}

// 1 + erf(x / √2), twice the normal distribution
LOCKSTEP_INLINE V twice_normal(V x) {
  return add(set1(1.0f), erf(mul(x, set1(0.70710678118654752f))));
}

LOCKSTEP_INLINE V gelu_of(V x, V) {
  return mul(mul(set1(0.5f), x), twice_normal(x));
}

// Beyond +-kFlat both forms of GELU are x or 0, and squares and cubes of x may not overflow.
constexpr float kFlat = 16.0f;
LOCKSTEP_INLINE V within_curve(V x) {
  return min(set1(kFlat), max(set1(-kFlat), x));  // NaN stays
}

// √(2/π) (x + 0.044715 x³) (Hendrycks and Gimpel 2016)
constexpr float kSteep = 0.79788456080286536f, kCubic = 0.044715f;
LOCKSTEP_INLINE V gelu_angle(V c) {
  return mul(set1(kSteep), mul(c, fma(set1(kCubic), mul(c, c), set1(1.0f))));
}

LOCKSTEP_INLINE V gelu_tanh_of(V x, V) {
  return mul(mul(set1(0.5f), x), add(set1(1.0f), tanh(gelu_angle(within_curve(x)))));
}

LOCKSTEP_INLINE V silu_of(V x, V) {
  return div(x, add(set1(1.0f), exp(sub(set1(0.0f), x))));
}

}  // namespace lockstep::cpu::LOCKSTEP_ISA
