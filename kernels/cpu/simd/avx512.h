// simd.h on x86-64-v4 (AVX-512 F, BW, DQ, VL).
#pragma once

// g++ 12 takes the "undefined" operand inside its own intrinsics for a mistake (GCC bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#pragma GCC diagnostic pop

namespace lockstep::cpu::LOCKSTEP_ISA {

constexpr int kWidth = 16;
constexpr int kRegisters = 32;
using V = __m512;
using I = __m512i;
using M = __mmask16;
struct D {
  __m512d low, high;
};

// ---- masks
LOCKSTEP_INLINE M first_lanes(int n) {
  return static_cast<M>((1u << n) - 1u);
}
LOCKSTEP_INLINE M mask_and(M a, M b) {
  return static_cast<M>(a & b);
}
LOCKSTEP_INLINE M mask_or(M a, M b) {
  return static_cast<M>(a | b);
}
LOCKSTEP_INLINE M mask_not(M a) {
  return static_cast<M>(~a);
}
LOCKSTEP_INLINE bool any(M a) {
  return a != 0;
}
LOCKSTEP_INLINE int bits_of_mask(M a) {
  return a;
}
LOCKSTEP_INLINE M mask_of_bits(int bits) {
  return static_cast<M>(bits);
}

// ---- floats
LOCKSTEP_INLINE V load(const float* p) {
  return _mm512_loadu_ps(p);
}
LOCKSTEP_INLINE V load(const float* p, int n) {
  return _mm512_maskz_loadu_ps(first_lanes(n), p);
}
LOCKSTEP_INLINE void store(float* p, V v) {
  _mm512_storeu_ps(p, v);
}
LOCKSTEP_INLINE void store(float* p, V v, int n) {
  _mm512_mask_storeu_ps(p, first_lanes(n), v);
}
LOCKSTEP_INLINE void store_to_memory(float* p, V v) {
  _mm512_stream_ps(p, v);
}
LOCKSTEP_INLINE void finish_stores_to_memory() {
  _mm_sfence();
}
LOCKSTEP_INLINE V set1(float x) {
  return _mm512_set1_ps(x);
}
LOCKSTEP_INLINE V add(V a, V b) {
  return _mm512_add_ps(a, b);
}
LOCKSTEP_INLINE V sub(V a, V b) {
  return _mm512_sub_ps(a, b);
}
LOCKSTEP_INLINE V mul(V a, V b) {
  return _mm512_mul_ps(a, b);
}
LOCKSTEP_INLINE V div(V a, V b) {
  return _mm512_div_ps(a, b);
}
LOCKSTEP_INLINE V sqrt(V a) {
  return _mm512_sqrt_ps(a);
}
LOCKSTEP_INLINE V fma(V a, V b, V c) {
  return _mm512_fmadd_ps(a, b, c);
}
LOCKSTEP_INLINE V fnma(V a, V b, V c) {
  return _mm512_fnmadd_ps(a, b, c);
}
LOCKSTEP_INLINE V max(V a, V b) {
  return _mm512_max_ps(a, b);
}
LOCKSTEP_INLINE V min(V a, V b) {
  return _mm512_min_ps(a, b);
}
LOCKSTEP_INLINE M less(V a, V b) {
  return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
LOCKSTEP_INLINE M less_equal(V a, V b) {
  return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ);
}
LOCKSTEP_INLINE M equal(V a, V b) {
  return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}
LOCKSTEP_INLINE V select(M m, V a, V b) {
  return _mm512_mask_blend_ps(m, b, a);
}

// ---- 32-bit integers
LOCKSTEP_INLINE I load_int(const void* p) {
  return _mm512_loadu_si512(p);
}
LOCKSTEP_INLINE void store_int(void* p, I a) {
  _mm512_storeu_si512(p, a);
}
LOCKSTEP_INLINE I set1_int(std::int32_t x) {
  return _mm512_set1_epi32(x);
}
LOCKSTEP_INLINE I lane_index() {
  return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
LOCKSTEP_INLINE I add(I a, I b) {
  return _mm512_add_epi32(a, b);
}
LOCKSTEP_INLINE I sub(I a, I b) {
  return _mm512_sub_epi32(a, b);
}
LOCKSTEP_INLINE I bit_and(I a, I b) {
  return _mm512_and_si512(a, b);
}
LOCKSTEP_INLINE I bit_or(I a, I b) {
  return _mm512_or_si512(a, b);
}
LOCKSTEP_INLINE I bit_xor(I a, I b) {
  return _mm512_xor_si512(a, b);
}
template <int kBits>
LOCKSTEP_INLINE I shift_left(I a) {
  return _mm512_slli_epi32(a, kBits);
}
template <int kBits>
LOCKSTEP_INLINE I shift_right(I a) {  // zeros come in
  return _mm512_srli_epi32(a, kBits);
}
template <int kBits>
LOCKSTEP_INLINE I shift_right_signed(I a) {
  return _mm512_srai_epi32(a, kBits);
}
LOCKSTEP_INLINE M equal(I a, I b) {
  return _mm512_cmpeq_epi32_mask(a, b);
}
LOCKSTEP_INLINE M less(I a, I b) {
  return _mm512_cmplt_epi32_mask(a, b);
}  // signed
LOCKSTEP_INLINE I select(M m, I a, I b) {
  return _mm512_mask_blend_epi32(m, b, a);
}
LOCKSTEP_INLINE void multiply_wide(I a, I b, I& hi, I& lo) {
  const I even = _mm512_mul_epu32(a, b);
  const I odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32));
  lo = _mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32));
  hi = _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd);
}

// ---- between them
LOCKSTEP_INLINE I bits_of(V a) {
  return _mm512_castps_si512(a);
}
LOCKSTEP_INLINE V float_of_bits(I a) {
  return _mm512_castsi512_ps(a);
}
LOCKSTEP_INLINE I round_to_int(V a) {
  return _mm512_cvtps_epi32(a);
}
LOCKSTEP_INLINE I truncate_to_int(V a) {
  return _mm512_cvttps_epi32(a);
}
LOCKSTEP_INLINE V to_float(I a) {
  return _mm512_cvtepi32_ps(a);
}
LOCKSTEP_INLINE V load_u8(const std::uint8_t* p) {
  return to_float(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
LOCKSTEP_INLINE V load_u8(const std::uint8_t* p, int n) {
  return to_float(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(first_lanes(n), p)));
}
LOCKSTEP_INLINE void store_u8(std::uint8_t* p, V v, int n) {
  _mm512_mask_cvtepi32_storeu_epi8(p, first_lanes(n), truncate_to_int(v));
}

// ---- doubles
LOCKSTEP_INLINE D set1_double(double x) {
  return {_mm512_set1_pd(x), _mm512_set1_pd(x)};
}
LOCKSTEP_INLINE D load_double(const double* p) {
  return {_mm512_loadu_pd(p), _mm512_loadu_pd(p + 8)};
}
LOCKSTEP_INLINE void store(double* p, D a) {
  _mm512_storeu_pd(p, a.low);
  _mm512_storeu_pd(p + 8, a.high);
}
LOCKSTEP_INLINE D to_double(V a) {
  return {_mm512_cvtps_pd(_mm512_castps512_ps256(a)),
          _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1))};
}
LOCKSTEP_INLINE V to_float(D a) {
  return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(a.low)), _mm512_cvtpd_ps(a.high),
                            1);
}
LOCKSTEP_INLINE D add(D a, D b) {
  return {_mm512_add_pd(a.low, b.low), _mm512_add_pd(a.high, b.high)};
}
LOCKSTEP_INLINE D sub(D a, D b) {
  return {_mm512_sub_pd(a.low, b.low), _mm512_sub_pd(a.high, b.high)};
}
LOCKSTEP_INLINE D mul(D a, D b) {
  return {_mm512_mul_pd(a.low, b.low), _mm512_mul_pd(a.high, b.high)};
}
LOCKSTEP_INLINE D div(D a, D b) {
  return {_mm512_div_pd(a.low, b.low), _mm512_div_pd(a.high, b.high)};
}
LOCKSTEP_INLINE D fma(D a, D b, D c) {
  return {_mm512_fmadd_pd(a.low, b.low, c.low), _mm512_fmadd_pd(a.high, b.high, c.high)};
}

LOCKSTEP_INLINE V times_power_of_two(V a, V k, I) {
  return _mm512_scalef_ps(a, k);
}

}  // namespace lockstep::cpu::LOCKSTEP_ISA
