// exp, expm1, log, log1p, tanh, sigmoid, softplus and erf of our own, lane by lane: the same bits
// on every processor, within 2 units in the last place (tests/kernels/math_test.cc). Only IEEE
// operations and fma; no estimates. Results below the smallest normal number are zero, as
// flush-to-zero makes them. A NaN comes back as it is.
//
// Sources: exp, log, tanh: S. L. Moshier, Cephes 2.8, single precision (expf.c, logf.c, tanhf.c).
// erf: N. Juffa's minimax pair for erff (public domain, published on stackoverflow.com/q/35148198).
#pragma once

#include "kernels/cpu/simd.h"

namespace lockstep::cpu::LOCKSTEP_ISA {

LOCKSTEP_INLINE V infinity() {
  return set1(__builtin_inff());
}
LOCKSTEP_INLINE V abs(V x) {
  return float_of_bits(bit_and(bits_of(x), set1_int(0x7FFFFFFF)));
}
// |magnitude| with the sign of `sign`; the magnitude must not be negative.
LOCKSTEP_INLINE V with_sign(V magnitude, V sign) {
  const I bit = bit_and(bits_of(sign), set1_int(static_cast<std::int32_t>(0x80000000u)));
  return float_of_bits(bit_or(bits_of(magnitude), bit));
}

// e^r = 1 + r + r² p(r) for |r| <= ln 2 / 2, and x = k ln 2 + r (Cody and Waite: ln 2 in two parts,
// k ln2_high is exact).
struct ExpParts {
  V r, p, power;
  I k;  // and power are the same number
};
LOCKSTEP_INLINE ExpParts exp_parts(V x) {
  const V magic = set1(12582912.0f);  // 1.5 · 2^23: adding it rounds to an integer in the low bits
  const V shifted = fma(x, set1(1.44269504088896341f), magic);
  const V k = sub(shifted, magic);
  V r = fnma(k, set1(0.693359375f), x);
  r = fnma(k, set1(-2.12194440e-4f), r);
  V p = set1(1.9875691500e-4f);
  p = fma(p, r, set1(1.3981999507e-3f));
  p = fma(p, r, set1(8.3334519073e-3f));
  p = fma(p, r, set1(4.1665795894e-2f));
  p = fma(p, r, set1(1.6666665459e-1f));
  p = fma(p, r, set1(5.0000001201e-1f));
  return {r, p, k, sub(bits_of(shifted), bits_of(magic))};
}

// e^x = 2^k e^r for x in [-87, 88], or NaN.
LOCKSTEP_INLINE V exp_within(V x) {
  const ExpParts parts = exp_parts(x);
  const V p = add(fma(parts.p, mul(parts.r, parts.r), parts.r), set1(1.0f));
  return times_power_of_two(p, parts.power, parts.k);
}

LOCKSTEP_INLINE V exp(V x) {
  const V low = set1(-87.33654022f);  // smallest float whose exponential is a normal number
  const V high = set1(89.0f);         // its exponential is infinite
  // NaN stays: both return the second operand
  const V y = exp_within(min(high, max(low, x)));
  return select(less(x, low), set1(0.0f), y);
}

// e^x - 1 for x <= 0: 2^k (e^r - 1) + (2^k - 1), where nothing cancels. It is -1 below -30 or so.
LOCKSTEP_INLINE V expm1_negative(V x) {
  const ExpParts parts = exp_parts(max(set1(-80.0f), x));
  const V power = float_of_bits(shift_left<23>(add(parts.k, set1_int(127))));
  const V y = fma(fma(parts.p, mul(parts.r, parts.r), parts.r), power, sub(power, set1(1.0f)));
  return select(equal(x, x), y, x);
}

// ln x = k ln 2 + ln m with sqrt(1/2) <= m < sqrt(2). Zero and what is flushed to it: -inf.
LOCKSTEP_INLINE V log(V x) {
  const V smallest = set1(0x1p-126f);
  const I bits = bits_of(x);
  // The offset makes the exponent field count from sqrt(1/2) upwards.
  const I shifted = sub(bits, set1_int(0x3F3504F3));
  const I exponent = shift_right_signed<23>(shifted);
  const V k = to_float(exponent);
  const V m = float_of_bits(sub(bits, shift_left<23>(exponent)));
  const V r = sub(m, set1(1.0f));
  const V z = mul(r, r);
  V p = set1(7.0376836292e-2f);
  p = fma(p, r, set1(-1.1514610310e-1f));
  p = fma(p, r, set1(1.1676998740e-1f));
  p = fma(p, r, set1(-1.2420140846e-1f));
  p = fma(p, r, set1(1.4249322787e-1f));
  p = fma(p, r, set1(-1.6668057665e-1f));
  p = fma(p, r, set1(2.0000714765e-1f));
  p = fma(p, r, set1(-2.4999993993e-1f));
  p = fma(p, r, set1(3.3333331174e-1f));
  p = mul(mul(p, r), z);
  p = fma(k, set1(-2.12194440e-4f), p);
  p = fma(set1(-0.5f), z, p);
  V y = fma(k, set1(0.693359375f), add(r, p));
  y = select(less(x, smallest), set1(-__builtin_inff()), y);
  y = select(less(x, set1(0.0f)), set1(__builtin_nanf("")), y);
  y = select(equal(x, infinity()), x, y);
  return select(equal(x, x), y, x);
}

// ln (1 + t) for t in [0, 1]: what 1 + t loses to rounding comes back to first order.
LOCKSTEP_INLINE V log1p_unit(V t) {
  const V one = set1(1.0f);
  const V u = add(one, t);
  return add(log(u), div(sub(t, sub(u, one)), u));
}

// ln (1 + e^x) = max(x, 0) + ln (1 + e^-|x|)
LOCKSTEP_INLINE V softplus(V x) {
  const V zero = set1(0.0f);
  const V positive = select(less(x, zero), zero, x);
  return add(positive, log1p_unit(exp(sub(zero, abs(x)))));
}

LOCKSTEP_INLINE V sigmoid(V x) {
  const V one = set1(1.0f);
  return div(one, add(one, exp(sub(set1(0.0f), x))));
}

LOCKSTEP_INLINE V tanh(V x) {
  const V t = abs(x);
  const V z = mul(x, x);
  V p = set1(-5.70498872745e-3f);
  p = fma(p, z, set1(2.06390887954e-2f));
  p = fma(p, z, set1(-5.37397155531e-2f));
  p = fma(p, z, set1(1.33314422036e-1f));
  p = fma(p, z, set1(-3.33332819422e-1f));
  const V small = fma(mul(p, z), t, t);
  const V one = set1(1.0f);
  const V large = sub(one, div(set1(2.0f), add(exp(add(t, t)), one)));
  return with_sign(select(less(t, set1(0.625f)), small, large), x);
}

LOCKSTEP_INLINE V erf(V x) {
  const V t = min(set1(4.0f), abs(x));  // beyond 4 it rounds to 1; NaN stays
  const V s = mul(t, t);
  V large = fma(set1(-1.72853470e-5f), t, set1(3.83197126e-4f));
  large = fma(large, s, fma(set1(-3.88396438e-3f), t, set1(2.42546219e-2f)));
  large = fma(large, t, set1(-1.06777877e-1f));
  large = fma(large, t, set1(-6.34846687e-1f));
  large = fma(large, t, set1(-1.28717512e-1f));
  large = fma(large, t, sub(set1(0.0f), t));
  large = sub(set1(1.0f), exp_within(large));
  V small = set1(-5.96761703e-4f);
  small = fma(small, s, set1(4.99119423e-3f));
  small = fma(small, s, set1(-2.67681349e-2f));
  small = fma(small, s, set1(1.12819925e-1f));
  small = fma(small, s, set1(-3.76125336e-1f));
  small = fma(small, s, set1(1.28379166e-1f));
  small = fma(small, t, t);
  return with_sign(select(less(set1(0.927734375f), t), large, small), x);
}

}  // namespace lockstep::cpu::LOCKSTEP_ISA
