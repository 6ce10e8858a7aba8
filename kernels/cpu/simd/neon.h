// simd.h on aarch64 (Advanced SIMD, part of every such processor). Where flush-to-zero is on, Arm
// asks whether a result is tiny before it is rounded and x86 after it: a result within half a step
// of float32 below the smallest normal number is the one case in which their bits differ.
#pragma once

#include <arm_neon.h>

namespace lockstep::cpu::LOCKSTEP_ISA {

constexpr int kWidth = 4;
constexpr int kRegisters = 32;
using V = float32x4_t;
using I = int32x4_t;
struct M {
  uint32x4_t lanes;  // all bits of a lane set, or none
};
struct D {
  float64x2_t low, high;
};

// ---- masks
LOCKSTEP_INLINE I set1_int(std::int32_t x) {
  return vdupq_n_s32(x);
}
LOCKSTEP_INLINE I lane_index() {
  return I{0, 1, 2, 3};
}
LOCKSTEP_INLINE M first_lanes(int n) {
  return {vcltq_s32(lane_index(), set1_int(n))};
}
LOCKSTEP_INLINE M mask_and(M a, M b) {
  return {vandq_u32(a.lanes, b.lanes)};
}
LOCKSTEP_INLINE M mask_or(M a, M b) {
  return {vorrq_u32(a.lanes, b.lanes)};
}
LOCKSTEP_INLINE M mask_not(M a) {
  return {vmvnq_u32(a.lanes)};
}
LOCKSTEP_INLINE bool any(M a) {
  return vmaxvq_u32(a.lanes) != 0;
}
LOCKSTEP_INLINE int bits_of_mask(M a) {
  const uint32x4_t lane = {1, 2, 4, 8};
  return static_cast<int>(vaddvq_u32(vandq_u32(a.lanes, lane)));
}
LOCKSTEP_INLINE M mask_of_bits(int bits) {
  const uint32x4_t lane = {1, 2, 4, 8};
  return {vtstq_u32(vdupq_n_u32(static_cast<std::uint32_t>(bits)), lane)};
}

// ---- floats
LOCKSTEP_INLINE V load(const float* p) {
  return vld1q_f32(p);
}
LOCKSTEP_INLINE V load(const float* p, int n) {
  V v = vdupq_n_f32(0.0f);
  if (n > 0) v = vld1q_lane_f32(p, v, 0);
  if (n > 1) v = vld1q_lane_f32(p + 1, v, 1);
  if (n > 2) v = vld1q_lane_f32(p + 2, v, 2);
  if (n > 3) v = vld1q_lane_f32(p + 3, v, 3);
  return v;
}
LOCKSTEP_INLINE void store(float* p, V v) {
  vst1q_f32(p, v);
}
LOCKSTEP_INLINE void store(float* p, V v, int n) {
  if (n > 0) vst1q_lane_f32(p, v, 0);
  if (n > 1) vst1q_lane_f32(p + 1, v, 1);
  if (n > 2) vst1q_lane_f32(p + 2, v, 2);
  if (n > 3) vst1q_lane_f32(p + 3, v, 3);
}
LOCKSTEP_INLINE void store_to_memory(float* p, V v) {
  store(p, v);
}
LOCKSTEP_INLINE void finish_stores_to_memory() {}
LOCKSTEP_INLINE V set1(float x) {
  return vdupq_n_f32(x);
}
LOCKSTEP_INLINE V add(V a, V b) {
  return vaddq_f32(a, b);
}
LOCKSTEP_INLINE V sub(V a, V b) {
  return vsubq_f32(a, b);
}
LOCKSTEP_INLINE V mul(V a, V b) {
  return vmulq_f32(a, b);
}
LOCKSTEP_INLINE V div(V a, V b) {
  return vdivq_f32(a, b);
}
LOCKSTEP_INLINE V sqrt(V a) {
  return vsqrtq_f32(a);
}
LOCKSTEP_INLINE V fma(V a, V b, V c) {
  return vfmaq_f32(c, a, b);
}
LOCKSTEP_INLINE V fnma(V a, V b, V c) {
  return vfmsq_f32(c, a, b);
}
LOCKSTEP_INLINE M less(V a, V b) {
  return {vcltq_f32(a, b)};
}
LOCKSTEP_INLINE M less_equal(V a, V b) {
  return {vcleq_f32(a, b)};
}
LOCKSTEP_INLINE M equal(V a, V b) {
  return {vceqq_f32(a, b)};
}
LOCKSTEP_INLINE V select(M m, V a, V b) {
  return vbslq_f32(m.lanes, a, b);
}
// Not vmaxq and vminq, which prefer the NaN and order the zeros.
LOCKSTEP_INLINE V max(V a, V b) {
  return vbslq_f32(vcgtq_f32(a, b), a, b);
}
LOCKSTEP_INLINE V min(V a, V b) {
  return vbslq_f32(vcltq_f32(a, b), a, b);
}

// ---- 32-bit integers
LOCKSTEP_INLINE I load_int(const void* p) {
  return vreinterpretq_s32_u8(vld1q_u8(static_cast<const std::uint8_t*>(p)));
}
LOCKSTEP_INLINE void store_int(void* p, I a) {
  vst1q_u8(static_cast<std::uint8_t*>(p), vreinterpretq_u8_s32(a));
}
LOCKSTEP_INLINE I add(I a, I b) {
  return vaddq_s32(a, b);
}
LOCKSTEP_INLINE I sub(I a, I b) {
  return vsubq_s32(a, b);
}
LOCKSTEP_INLINE I bit_and(I a, I b) {
  return vandq_s32(a, b);
}
LOCKSTEP_INLINE I bit_or(I a, I b) {
  return vorrq_s32(a, b);
}
LOCKSTEP_INLINE I bit_xor(I a, I b) {
  return veorq_s32(a, b);
}
template <int kBits>
LOCKSTEP_INLINE I shift_left(I a) {
  return vshlq_n_s32(a, kBits);
}
template <int kBits>
LOCKSTEP_INLINE I shift_right(I a) {  // zeros come in
  return vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a), kBits));
}
template <int kBits>
LOCKSTEP_INLINE I shift_right_signed(I a) {
  return vshrq_n_s32(a, kBits);
}
LOCKSTEP_INLINE M equal(I a, I b) {
  return {vceqq_s32(a, b)};
}
LOCKSTEP_INLINE M less(I a, I b) {  // signed
  return {vcltq_s32(a, b)};
}
LOCKSTEP_INLINE I select(M m, I a, I b) {
  return vbslq_s32(m.lanes, a, b);
}
LOCKSTEP_INLINE void multiply_wide(I a, I b, I& hi, I& lo) {
  const uint32x4_t x = vreinterpretq_u32_s32(a), y = vreinterpretq_u32_s32(b);
  const uint32x4_t low = vreinterpretq_u32_u64(vmull_u32(vget_low_u32(x), vget_low_u32(y)));
  const uint32x4_t high = vreinterpretq_u32_u64(vmull_high_u32(x, y));
  lo = vreinterpretq_s32_u32(vuzp1q_u32(low, high));
  hi = vreinterpretq_s32_u32(vuzp2q_u32(low, high));
}

// ---- between them
LOCKSTEP_INLINE I bits_of(V a) {
  return vreinterpretq_s32_f32(a);
}
LOCKSTEP_INLINE V float_of_bits(I a) {
  return vreinterpretq_f32_s32(a);
}
LOCKSTEP_INLINE I round_to_int(V a) {
  return vcvtnq_s32_f32(a);
}
LOCKSTEP_INLINE I truncate_to_int(V a) {
  return vcvtq_s32_f32(a);
}
LOCKSTEP_INLINE V to_float(I a) {
  return vcvtq_f32_s32(a);
}
LOCKSTEP_INLINE V load_u8(const std::uint8_t* p, int n) {
  I bytes = vdupq_n_s32(0);
  for (int i = 0; i < n; ++i) bytes[i] = p[i];
  return to_float(bytes);
}
LOCKSTEP_INLINE V load_u8(const std::uint8_t* p) {
  return load_u8(p, kWidth);
}
LOCKSTEP_INLINE void store_u8(std::uint8_t* p, V v, int n) {
  const I bytes = truncate_to_int(v);
  for (int i = 0; i < n; ++i) p[i] = static_cast<std::uint8_t>(bytes[i]);
}

// ---- doubles
LOCKSTEP_INLINE D set1_double(double x) {
  return {vdupq_n_f64(x), vdupq_n_f64(x)};
}
LOCKSTEP_INLINE D load_double(const double* p) {
  return {vld1q_f64(p), vld1q_f64(p + 2)};
}
LOCKSTEP_INLINE void store(double* p, D a) {
  vst1q_f64(p, a.low);
  vst1q_f64(p + 2, a.high);
}
LOCKSTEP_INLINE D to_double(V a) {
  return {vcvt_f64_f32(vget_low_f32(a)), vcvt_high_f64_f32(a)};
}
LOCKSTEP_INLINE V to_float(D a) {
  return vcvt_high_f32_f64(vcvt_f32_f64(a.low), a.high);
}
LOCKSTEP_INLINE D add(D a, D b) {
  return {vaddq_f64(a.low, b.low), vaddq_f64(a.high, b.high)};
}
LOCKSTEP_INLINE D sub(D a, D b) {
  return {vsubq_f64(a.low, b.low), vsubq_f64(a.high, b.high)};
}
LOCKSTEP_INLINE D mul(D a, D b) {
  return {vmulq_f64(a.low, b.low), vmulq_f64(a.high, b.high)};
}
LOCKSTEP_INLINE D div(D a, D b) {
  return {vdivq_f64(a.low, b.low), vdivq_f64(a.high, b.high)};
}
LOCKSTEP_INLINE D fma(D a, D b, D c) {
  return {vfmaq_f64(c.low, a.low, b.low), vfmaq_f64(c.high, a.high, b.high)};
}

// In two factors, since 2^128 is no float.
LOCKSTEP_INLINE V times_power_of_two(V a, V, I k) {
  const I half = shift_right_signed<1>(k), bias = set1_int(127);
  a = mul(a, float_of_bits(shift_left<23>(add(half, bias))));
  return mul(a, float_of_bits(shift_left<23>(add(sub(k, half), bias))));
}

}  // namespace lockstep::cpu::LOCKSTEP_ISA
