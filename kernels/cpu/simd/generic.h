// simd.h in plain C++ on vectors of four lanes: any processor, NEON's width on aarch64. The fused
// multiply-add is the compiler's builtin: an instruction where there is one, else the C library's.
#pragma once

namespace lockstep::cpu::LOCKSTEP_ISA {

constexpr int kWidth = 4;
constexpr int kRegisters = 16;
using V = float __attribute__((vector_size(16)));
using I = std::int32_t __attribute__((vector_size(16)));
using U = std::uint32_t __attribute__((vector_size(16)));
struct M {
  I lanes;  // -1 or 0
};
struct D {
  double lane[kWidth];
};

// ---- masks
LOCKSTEP_INLINE I lane_index() {
  return I{0, 1, 2, 3};
}
LOCKSTEP_INLINE I set1_int(std::int32_t x) {
  return I{x, x, x, x};
}
LOCKSTEP_INLINE M first_lanes(int n) {
  return {lane_index() < set1_int(n)};
}
LOCKSTEP_INLINE M mask_and(M a, M b) {
  return {a.lanes & b.lanes};
}
LOCKSTEP_INLINE M mask_or(M a, M b) {
  return {a.lanes | b.lanes};
}
LOCKSTEP_INLINE M mask_not(M a) {
  return {~a.lanes};
}
LOCKSTEP_INLINE bool any(M a) {
  return (a.lanes[0] | a.lanes[1] | a.lanes[2] | a.lanes[3]) != 0;
}
LOCKSTEP_INLINE int bits_of_mask(M a) {
  return (a.lanes[0] & 1) | (a.lanes[1] & 2) | (a.lanes[2] & 4) | (a.lanes[3] & 8);
}
LOCKSTEP_INLINE M mask_of_bits(int bits) {
  const I lane = {1, 2, 4, 8};
  return {(set1_int(bits) & lane) == lane};
}

// ---- floats
LOCKSTEP_INLINE V load(const float* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
LOCKSTEP_INLINE V load(const float* p, int n) {
  V v{};
  for (int i = 0; i < n; ++i) v[i] = p[i];
  return v;
}
LOCKSTEP_INLINE void store(float* p, V v) {
  __builtin_memcpy(p, &v, sizeof v);
}
LOCKSTEP_INLINE void store(float* p, V v, int n) {
  for (int i = 0; i < n; ++i) p[i] = v[i];
}
LOCKSTEP_INLINE void store_to_memory(float* p, V v) {
  store(p, v);
}
LOCKSTEP_INLINE void finish_stores_to_memory() {}
LOCKSTEP_INLINE V set1(float x) {
  return V{x, x, x, x};
}
LOCKSTEP_INLINE V add(V a, V b) {
  return a + b;
}
LOCKSTEP_INLINE V sub(V a, V b) {
  return a - b;
}
LOCKSTEP_INLINE V mul(V a, V b) {
  return a * b;
}
LOCKSTEP_INLINE V div(V a, V b) {
  return a / b;
}
LOCKSTEP_INLINE V sqrt(V a) {
  for (int i = 0; i < kWidth; ++i) a[i] = __builtin_sqrtf(a[i]);
  return a;
}
LOCKSTEP_INLINE V fma(V a, V b, V c) {
  return V{__builtin_fmaf(a[0], b[0], c[0]), __builtin_fmaf(a[1], b[1], c[1]),
           __builtin_fmaf(a[2], b[2], c[2]), __builtin_fmaf(a[3], b[3], c[3])};
}
LOCKSTEP_INLINE V fnma(V a, V b, V c) {
  return fma(-a, b, c);
}
LOCKSTEP_INLINE M less(V a, V b) {
  return {a < b};
}
LOCKSTEP_INLINE M less_equal(V a, V b) {
  return {a <= b};
}
LOCKSTEP_INLINE M equal(V a, V b) {
  return {a == b};
}

// ---- 32-bit integers
LOCKSTEP_INLINE I load_int(const void* p) {
  I v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
LOCKSTEP_INLINE void store_int(void* p, I a) {
  __builtin_memcpy(p, &a, sizeof a);
}
LOCKSTEP_INLINE I add(I a, I b) {
  return (I)((U)a + (U)b);
}  // wraps, as the hardware's does
LOCKSTEP_INLINE I sub(I a, I b) {
  return (I)((U)a - (U)b);
}
LOCKSTEP_INLINE I bit_and(I a, I b) {
  return a & b;
}
LOCKSTEP_INLINE I bit_or(I a, I b) {
  return a | b;
}
LOCKSTEP_INLINE I bit_xor(I a, I b) {
  return a ^ b;
}
template <int kBits>
LOCKSTEP_INLINE I shift_left(I a) {
  return (I)((U)a << kBits);
}
template <int kBits>
LOCKSTEP_INLINE I shift_right(I a) {  // zeros come in
  return (I)((U)a >> kBits);
}
template <int kBits>
LOCKSTEP_INLINE I shift_right_signed(I a) {
  return a >> kBits;
}
LOCKSTEP_INLINE M equal(I a, I b) {
  return {a == b};
}
LOCKSTEP_INLINE M less(I a, I b) {
  return {a < b};
}  // signed
LOCKSTEP_INLINE I select(M m, I a, I b) {
  return (m.lanes & a) | (~m.lanes & b);
}
LOCKSTEP_INLINE void multiply_wide(I a, I b, I& hi, I& lo) {
  for (int i = 0; i < kWidth; ++i) {
    const std::uint64_t product =
        std::uint64_t{static_cast<std::uint32_t>(a[i])} * static_cast<std::uint32_t>(b[i]);
    hi[i] = static_cast<std::int32_t>(product >> 32);
    lo[i] = static_cast<std::int32_t>(product);
  }
}

// ---- between them
LOCKSTEP_INLINE I bits_of(V a) {
  return (I)a;
}
LOCKSTEP_INLINE V float_of_bits(I a) {
  return (V)a;
}
LOCKSTEP_INLINE V select(M m, V a, V b) {
  return float_of_bits(select(m, bits_of(a), bits_of(b)));
}
LOCKSTEP_INLINE V max(V a, V b) {
  return select({a > b}, a, b);
}
LOCKSTEP_INLINE V min(V a, V b) {
  return select({a < b}, a, b);
}
LOCKSTEP_INLINE I truncate_to_int(V a) {
  I result;
  for (int i = 0; i < kWidth; ++i) result[i] = static_cast<std::int32_t>(a[i]);
  return result;
}
LOCKSTEP_INLINE I round_to_int(V a) {
  I result;
  for (int i = 0; i < kWidth; ++i) result[i] = static_cast<std::int32_t>(__builtin_rintf(a[i]));
  return result;
}
LOCKSTEP_INLINE V to_float(I a) {
  V result;
  for (int i = 0; i < kWidth; ++i) result[i] = static_cast<float>(a[i]);
  return result;
}
LOCKSTEP_INLINE V load_u8(const std::uint8_t* p, int n) {
  V v{};
  for (int i = 0; i < n; ++i) v[i] = static_cast<float>(p[i]);
  return v;
}
LOCKSTEP_INLINE V load_u8(const std::uint8_t* p) {
  return load_u8(p, kWidth);
}
LOCKSTEP_INLINE void store_u8(std::uint8_t* p, V v, int n) {
  for (int i = 0; i < n; ++i) p[i] = static_cast<std::uint8_t>(v[i]);
}

// ---- doubles
LOCKSTEP_INLINE D set1_double(double x) {
  return {{x, x, x, x}};
}
LOCKSTEP_INLINE D load_double(const double* p) {
  return {{p[0], p[1], p[2], p[3]}};
}
LOCKSTEP_INLINE void store(double* p, D a) {
  for (int i = 0; i < kWidth; ++i) p[i] = a.lane[i];
}
LOCKSTEP_INLINE D to_double(V a) {
  D result;
  for (int i = 0; i < kWidth; ++i) result.lane[i] = static_cast<double>(a[i]);
  return result;
}
LOCKSTEP_INLINE V to_float(D a) {
  V result;
  for (int i = 0; i < kWidth; ++i) result[i] = static_cast<float>(a.lane[i]);
  return result;
}
LOCKSTEP_INLINE D add(D a, D b) {
  for (int i = 0; i < kWidth; ++i) a.lane[i] += b.lane[i];
  return a;
}
LOCKSTEP_INLINE D sub(D a, D b) {
  for (int i = 0; i < kWidth; ++i) a.lane[i] -= b.lane[i];
  return a;
}
LOCKSTEP_INLINE D mul(D a, D b) {
  for (int i = 0; i < kWidth; ++i) a.lane[i] *= b.lane[i];
  return a;
}
LOCKSTEP_INLINE D div(D a, D b) {
  for (int i = 0; i < kWidth; ++i) a.lane[i] /= b.lane[i];
  return a;
}
LOCKSTEP_INLINE D fma(D a, D b, D c) {
  for (int i = 0; i < kWidth; ++i) c.lane[i] = __builtin_fma(a.lane[i], b.lane[i], c.lane[i]);
  return c;
}

// In two factors, since 2^128 is no float.
LOCKSTEP_INLINE V times_power_of_two(V a, V, I k) {
  const I half = shift_right_signed<1>(k), bias = set1_int(127);
  a = mul(a, float_of_bits(shift_left<23>(add(half, bias))));
  return mul(a, float_of_bits(shift_left<23>(add(sub(k, half), bias))));
}

}  // namespace lockstep::cpu::LOCKSTEP_ISA
