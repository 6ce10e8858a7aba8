// The one SIMD header: every vector kernel (kernels/cpu/simd/*.cc) is written over it and compiled
// once an instruction set, in a namespace named after it. V holds kWidth floats, I as many 32-bit
// integers, M a mask of lanes, D as many doubles.
//
// The bits of a result never depend on kWidth: lanes are independent outputs, and sums across lanes
// use 16 virtual lanes (Lanes16 below) joined in one fixed tree. A multiply-add is fused only where
// the source says fma. max(a, b) is a > b ? a : b and min(a, b) is a < b ? a : b, so that with a
// NaN on either side, and for zeros of unlike sign, the second operand comes back on every
// processor.
//
// These files must emit no weak symbol, or the linker could hand an older processor a function that
// was compiled for a newer one: everything is static and always inlined, nothing of std:: that is
// a template is called, and entry points are one extern table a file.
//
// What simd/<isa>.h defines, beside arithmetic that its names explain:
//   load(p), store(p, v)         kWidth lanes at any address
//   load(p, n), store(p, v, n)   the first n in [0, kWidth] lanes; no byte beyond them is touched,
//                                and the lanes beyond them read as zero
//   store_to_memory(p, v)        kWidth lanes to a multiple of their size, past the caches, for what
//                                they could not hold until it is read; others may read it after
//                                finish_stores_to_memory()
//   fma(a, b, c) = a b + c, fnma(a, b, c) = c - a b
//   bits_of_mask, mask_of_bits   bit i for lane i
//   less, less_equal, equal      ordered: false with a NaN
//   select(m, a, b)              a where m is set, else b
//   round_to_int                 nearest, ties to even; only for values that fit
//   truncate_to_int              towards zero; only for values that fit
//   multiply_wide(a, b, hi, lo)  the halves of unsigned 32 x 32 products
//   load_u8, store_u8            bytes to floats; floats that are integers in [0, 255] to bytes
//   to_double(v), to_float(d)    between V and D
//   times_power_of_two(a, f, k)  a 2^k, f = k in [-126, 128], where the result is a normal number
//                                or infinite
#pragma once

#include <cstddef>
#include <cstdint>

#define LOCKSTEP_INLINE static inline __attribute__((always_inline))
#define LOCKSTEP_TEXT_OF(x) #x
#define LOCKSTEP_TEXT(x) LOCKSTEP_TEXT_OF(x)
// Spaces would become part of the file's name:
// clang-format off
#include LOCKSTEP_TEXT(kernels/cpu/simd/LOCKSTEP_ISA.h)
// clang-format on

namespace lockstep::cpu::LOCKSTEP_ISA {

// Sixteen partial sums, element i of a row in lane i mod 16, whatever the width of a vector.
constexpr int kVectorsOf16 = 16 / kWidth;
struct Lanes16 {
  V v[kVectorsOf16];
};
struct DoubleLanes16 {
  D v[kVectorsOf16];
};

LOCKSTEP_INLINE Lanes16 lanes16(float value) {
  Lanes16 lanes;
  for (int j = 0; j < kVectorsOf16; ++j) lanes.v[j] = set1(value);
  return lanes;
}
LOCKSTEP_INLINE DoubleLanes16 double_lanes16(double value) {
  DoubleLanes16 lanes;
  for (int j = 0; j < kVectorsOf16; ++j) lanes.v[j] = set1_double(value);
  return lanes;
}

// The tree: lane i joins i + 8, then i + 4, i + 2, i + 1.
LOCKSTEP_INLINE float sum(const Lanes16& lanes) {
  float values[16];
  for (int j = 0; j < kVectorsOf16; ++j) store(values + j * kWidth, lanes.v[j]);
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) values[i] += values[i + half];
  }
  return values[0];
}
LOCKSTEP_INLINE double sum(const DoubleLanes16& lanes) {
  double values[16];
  for (int j = 0; j < kVectorsOf16; ++j) store(values + j * kWidth, lanes.v[j]);
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) values[i] += values[i + half];
  }
  return values[0];
}
// max(lane i, lane i + 8) and so on; the order matters where a NaN is among them.
LOCKSTEP_INLINE float maximum(const Lanes16& lanes) {
  float values[16];
  for (int j = 0; j < kVectorsOf16; ++j) store(values + j * kWidth, lanes.v[j]);
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) {
      values[i] = values[i] > values[i + half] ? values[i] : values[i + half];
    }
  }
  return values[0];
}

// How many of the lanes of vector j of a group of 16 lie within the first n elements of the group.
LOCKSTEP_INLINE int lanes_within(std::int64_t n, int j) {
  const std::int64_t left = n - j * kWidth;
  return left <= 0 ? 0 : left >= kWidth ? kWidth : static_cast<int>(left);
}

}  // namespace lockstep::cpu::LOCKSTEP_ISA
