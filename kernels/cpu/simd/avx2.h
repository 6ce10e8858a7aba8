// simd.h on x86-64-v3 (AVX2 and FMA).
#pragma once

#include <immintrin.h>

namespace lockstep::cpu::LOCKSTEP_ISA {

constexpr int kWidth = 8;
constexpr int kRegisters = 16;
using V = __m256;
using I = __m256i;
struct M {
  __m256 lanes;  // all bits of a lane set, or none
};
struct D {
  __m256d low, high;
};

// ---- masks
LOCKSTEP_INLINE I lane_index() {
  return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
}
LOCKSTEP_INLINE I lanes_below(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane_index());
}
LOCKSTEP_INLINE M first_lanes(int n) {
  return {_mm256_castsi256_ps(lanes_below(n))};
}
LOCKSTEP_INLINE M mask_and(M a, M b) {
  return {_mm256_and_ps(a.lanes, b.lanes)};
}
LOCKSTEP_INLINE M mask_or(M a, M b) {
  return {_mm256_or_ps(a.lanes, b.lanes)};
}
LOCKSTEP_INLINE M mask_not(M a) {
  return {_mm256_xor_ps(a.lanes, _mm256_castsi256_ps(_mm256_set1_epi32(-1)))};
}
LOCKSTEP_INLINE bool any(M a) {
  return _mm256_movemask_ps(a.lanes) != 0;
}
LOCKSTEP_INLINE int bits_of_mask(M a) {
  return _mm256_movemask_ps(a.lanes);
}
LOCKSTEP_INLINE M mask_of_bits(int bits) {
  const I lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  return {_mm256_castsi256_ps(
      _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(bits), lane), lane))};
}

// ---- floats
LOCKSTEP_INLINE V load(const float* p) {
  return _mm256_loadu_ps(p);
}
LOCKSTEP_INLINE V load(const float* p, int n) {
  return _mm256_maskload_ps(p, lanes_below(n));
}
LOCKSTEP_INLINE void store(float* p, V v) {
  _mm256_storeu_ps(p, v);
}
LOCKSTEP_INLINE void store(float* p, V v, int n) {
  _mm256_maskstore_ps(p, lanes_below(n), v);
}
LOCKSTEP_INLINE void store_to_memory(float* p, V v) {
  _mm256_stream_ps(p, v);
}
LOCKSTEP_INLINE void finish_stores_to_memory() {
  _mm_sfence();
}
LOCKSTEP_INLINE V set1(float x) {
  return _mm256_set1_ps(x);
}
LOCKSTEP_INLINE V add(V a, V b) {
  return _mm256_add_ps(a, b);
}
LOCKSTEP_INLINE V sub(V a, V b) {
  return _mm256_sub_ps(a, b);
}
LOCKSTEP_INLINE V mul(V a, V b) {
  return _mm256_mul_ps(a, b);
}
LOCKSTEP_INLINE V div(V a, V b) {
  return _mm256_div_ps(a, b);
}
LOCKSTEP_INLINE V sqrt(V a) {
  return _mm256_sqrt_ps(a);
}
LOCKSTEP_INLINE V fma(V a, V b, V c) {
  return _mm256_fmadd_ps(a, b, c);
}
LOCKSTEP_INLINE V fnma(V a, V b, V c) {
  return _mm256_fnmadd_ps(a, b, c);
}
LOCKSTEP_INLINE V max(V a, V b) {
  return _mm256_max_ps(a, b);
}
LOCKSTEP_INLINE V min(V a, V b) {
  return _mm256_min_ps(a, b);
}
LOCKSTEP_INLINE M less(V a, V b) {
  return {_mm256_cmp_ps(a, b, _CMP_LT_OQ)};
}
LOCKSTEP_INLINE M less_equal(V a, V b) {
  return {_mm256_cmp_ps(a, b, _CMP_LE_OQ)};
}
LOCKSTEP_INLINE M equal(V a, V b) {
  return {_mm256_cmp_ps(a, b, _CMP_EQ_OQ)};
}
LOCKSTEP_INLINE V select(M m, V a, V b) {
  return _mm256_blendv_ps(b, a, m.lanes);
}

// ---- 32-bit integers
LOCKSTEP_INLINE I load_int(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
LOCKSTEP_INLINE void store_int(void* p, I a) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), a);
}
LOCKSTEP_INLINE I set1_int(std::int32_t x) {
  return _mm256_set1_epi32(x);
}
LOCKSTEP_INLINE I add(I a, I b) {
  return _mm256_add_epi32(a, b);
}
LOCKSTEP_INLINE I sub(I a, I b) {
  return _mm256_sub_epi32(a, b);
}
LOCKSTEP_INLINE I bit_and(I a, I b) {
  return _mm256_and_si256(a, b);
}
LOCKSTEP_INLINE I bit_or(I a, I b) {
  return _mm256_or_si256(a, b);
}
LOCKSTEP_INLINE I bit_xor(I a, I b) {
  return _mm256_xor_si256(a, b);
}
template <int kBits>
LOCKSTEP_INLINE I shift_left(I a) {
  return _mm256_slli_epi32(a, kBits);
}
template <int kBits>
LOCKSTEP_INLINE I shift_right(I a) {  // zeros come in
  return _mm256_srli_epi32(a, kBits);
}
template <int kBits>
LOCKSTEP_INLINE I shift_right_signed(I a) {
  return _mm256_srai_epi32(a, kBits);
}
LOCKSTEP_INLINE M equal(I a, I b) {
  return {_mm256_castsi256_ps(_mm256_cmpeq_epi32(a, b))};
}
LOCKSTEP_INLINE M less(I a, I b) {  // signed
  return {_mm256_castsi256_ps(_mm256_cmpgt_epi32(b, a))};
}
LOCKSTEP_INLINE I select(M m, I a, I b) {
  return _mm256_blendv_epi8(b, a, _mm256_castps_si256(m.lanes));
}
LOCKSTEP_INLINE void multiply_wide(I a, I b, I& hi, I& lo) {
  const I even = _mm256_mul_epu32(a, b);
  const I odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32));
  lo = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
  hi = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
}

// ---- between them
LOCKSTEP_INLINE I bits_of(V a) {
  return _mm256_castps_si256(a);
}
LOCKSTEP_INLINE V float_of_bits(I a) {
  return _mm256_castsi256_ps(a);
}
LOCKSTEP_INLINE I round_to_int(V a) {
  return _mm256_cvtps_epi32(a);
}
LOCKSTEP_INLINE I truncate_to_int(V a) {
  return _mm256_cvttps_epi32(a);
}
LOCKSTEP_INLINE V to_float(I a) {
  return _mm256_cvtepi32_ps(a);
}
LOCKSTEP_INLINE V load_u8(const std::uint8_t* p) {
  return to_float(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
LOCKSTEP_INLINE V load_u8(const std::uint8_t* p, int n) {
  std::uint8_t bytes[kWidth] = {};
  for (int i = 0; i < n; ++i) bytes[i] = p[i];
  return load_u8(bytes);
}
LOCKSTEP_INLINE void store_u8(std::uint8_t* p, V v, int n) {
  const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(truncate_to_int(v)),
                                         _mm256_extracti128_si256(truncate_to_int(v), 1));
  const __m128i bytes = _mm_packus_epi16(words, words);
  if (n == kWidth) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), bytes);
    return;
  }
  std::uint8_t values[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(values), bytes);
  for (int i = 0; i < n; ++i) p[i] = values[i];
}

// ---- doubles
LOCKSTEP_INLINE D set1_double(double x) {
  return {_mm256_set1_pd(x), _mm256_set1_pd(x)};
}
LOCKSTEP_INLINE D load_double(const double* p) {
  return {_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4)};
}
LOCKSTEP_INLINE void store(double* p, D a) {
  _mm256_storeu_pd(p, a.low);
  _mm256_storeu_pd(p + 4, a.high);
}
LOCKSTEP_INLINE D to_double(V a) {
  return {_mm256_cvtps_pd(_mm256_castps256_ps128(a)), _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1))};
}
LOCKSTEP_INLINE V to_float(D a) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm256_cvtpd_ps(a.low)),
                              _mm256_cvtpd_ps(a.high), 1);
}
LOCKSTEP_INLINE D add(D a, D b) {
  return {_mm256_add_pd(a.low, b.low), _mm256_add_pd(a.high, b.high)};
}
LOCKSTEP_INLINE D sub(D a, D b) {
  return {_mm256_sub_pd(a.low, b.low), _mm256_sub_pd(a.high, b.high)};
}
LOCKSTEP_INLINE D mul(D a, D b) {
  return {_mm256_mul_pd(a.low, b.low), _mm256_mul_pd(a.high, b.high)};
}
LOCKSTEP_INLINE D div(D a, D b) {
  return {_mm256_div_pd(a.low, b.low), _mm256_div_pd(a.high, b.high)};
}
LOCKSTEP_INLINE D fma(D a, D b, D c) {
  return {_mm256_fmadd_pd(a.low, b.low, c.low), _mm256_fmadd_pd(a.high, b.high, c.high)};
}

// In two factors, since 2^128 is no float.
LOCKSTEP_INLINE V times_power_of_two(V a, V, I k) {
  const I half = shift_right_signed<1>(k), bias = set1_int(127);
  a = mul(a, float_of_bits(shift_left<23>(add(half, bias))));
  return mul(a, float_of_bits(shift_left<23>(add(sub(k, half), bias))));
}

}  // namespace lockstep::cpu::LOCKSTEP_ISA
