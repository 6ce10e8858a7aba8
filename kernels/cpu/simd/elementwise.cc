// Sums, scaling, dropout, and integers to normalised floats.
#include "kernels/cpu/simd/map.h"
#include "kernels/cpu/simd/tables.h"

namespace lockstep::cpu::LOCKSTEP_ISA {

namespace {

void add_arrays(const float* a, const float* b, float* y, std::int64_t n) {
  map(a, b, y, n, [](V left, V right) { return add(left, right); });
}

void fill_array(float value, float* y, std::int64_t n) {
  const V v = set1(value);
  std::int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) store(y + i, v);
  if (i < n) store(y + i, v, static_cast<int>(n - i));
}

void scale_array(float factor, float* x, std::int64_t n) {
  const V f = set1(factor);
  map(x, x, n, [=](V v) { return mul(v, f); });
}

// Ten rounds of Philox 4x32 (kernels/core/philox.h) on kSets times kWidth counters. Two sets hide
// each other's multiplications.
constexpr int kSets = 2;
LOCKSTEP_INLINE void philox(I (&counter)[kSets][4], const std::uint32_t* key_words) {
  std::uint32_t key0 = key_words[0], key1 = key_words[1];
  const I factor0 = set1_int(static_cast<std::int32_t>(0xD2511F53u));
  const I factor1 = set1_int(static_cast<std::int32_t>(0xCD9E8D57u));
  for (int round = 0; round < 10; ++round) {
    const I word0 = set1_int(static_cast<std::int32_t>(key0));
    const I word1 = set1_int(static_cast<std::int32_t>(key1));
    for (int set = 0; set < kSets; ++set) {
      I* c = counter[set];
      I high0, low0, high1, low1;
      multiply_wide(factor0, c[0], high0, low0);
      multiply_wide(factor1, c[2], high1, low1);
      c[0] = bit_xor(bit_xor(high1, c[1]), word0);
      c[1] = low1;
      c[2] = bit_xor(bit_xor(high0, c[3]), word1);
      c[3] = low0;
    }
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}

// Element e takes word e mod 4 of the counter's block e / 4. Dropped elements are multiplied by
// zero, so that a NaN among them is not lost.
void dropout(const std::uint32_t* counter, const std::uint32_t* key, float probability, float kept,
             const float* x, float* y, std::int64_t n) {
  constexpr int kChunk = kSets * 4 * kWidth;
  const V limit = set1(probability), unit = set1(0x1p-24f), zero = set1(0.0f), factor = set1(kept);
  for (std::int64_t i = 0; i < n; i += kChunk) {
    I words[kSets][4];
    for (int set = 0; set < kSets; ++set) {
      const auto block = static_cast<std::int32_t>(i / 4 + set * kWidth);
      words[set][0] = add(set1_int(block), lane_index());
      for (int w = 1; w < 4; ++w) words[set][w] = set1_int(static_cast<std::int32_t>(counter[w]));
    }
    philox(words, key);
    float by_word[4][kSets * kWidth], factors[kChunk];
    for (int w = 0; w < 4; ++w) {
      for (int set = 0; set < kSets; ++set) {
        const V random = mul(to_float(shift_right<8>(words[set][w])), unit);
        store(by_word[w] + set * kWidth, select(less(random, limit), zero, factor));
      }
    }
    for (int b = 0; b < kSets * kWidth; ++b) {
      for (int w = 0; w < 4; ++w) factors[4 * b + w] = by_word[w][b];
    }
    map(x + i, factors, y + i, n - i < kChunk ? n - i : kChunk, [](V v, V f) { return mul(v, f); });
  }
}

LOCKSTEP_INLINE V load_as_float(const std::uint8_t* x) {
  return load_u8(x);
}
LOCKSTEP_INLINE V load_as_float(const std::uint8_t* x, int n) {
  return load_u8(x, n);
}
LOCKSTEP_INLINE V load_as_float(const float* x) {
  return load(x);
}
LOCKSTEP_INLINE V load_as_float(const float* x, int n) {
  return load(x, n);
}
LOCKSTEP_INLINE V load_as_float(const std::int64_t* x, int n) {
  float values[kWidth] = {};
  for (int i = 0; i < n; ++i) values[i] = static_cast<float>(x[i]);
  return load(values);
}
LOCKSTEP_INLINE V load_as_float(const std::int64_t* x) {
  return load_as_float(x, kWidth);
}

template <typename T>
LOCKSTEP_INLINE void scale_shift(const T* x, const float* scale, const float* shift,
                                 std::int64_t period, float* y, std::int64_t n) {
  if (period == 1) {
    const V a = set1(*scale), b = set1(*shift);
    std::int64_t i = 0;
    for (; i + kWidth <= n; i += kWidth) store(y + i, fma(load_as_float(x + i), a, b));
    const int rest = static_cast<int>(n - i);
    if (rest > 0) store(y + i, fma(load_as_float(x + i, rest), a, b), rest);
    return;
  }
  for (std::int64_t start = 0; start < n; start += period) {
    std::int64_t i = 0;
    for (; i + kWidth <= period; i += kWidth)
      store(y + start + i, fma(load_as_float(x + start + i), load(scale + i), load(shift + i)));
    const int rest = static_cast<int>(period - i);
    if (rest > 0)
      store(y + start + i,
            fma(load_as_float(x + start + i, rest), load(scale + i, rest), load(shift + i, rest)),
            rest);
  }
}

void scale_shift_u8(const std::uint8_t* x, const float* a, const float* b, std::int64_t period,
                    float* y, std::int64_t n) {
  scale_shift(x, a, b, period, y, n);
}
void scale_shift_f32(const float* x, const float* a, const float* b, std::int64_t period, float* y,
                     std::int64_t n) {
  scale_shift(x, a, b, period, y, n);
}
void scale_shift_i64(const std::int64_t* x, const float* a, const float* b, std::int64_t period,
                     float* y, std::int64_t n) {
  scale_shift(x, a, b, period, y, n);
}

}  // namespace

const ElementwiseKernels kElementwiseKernels = {
    add_arrays, fill_array, scale_array, dropout, scale_shift_u8, scale_shift_f32, scale_shift_i64};

}  // namespace lockstep::cpu::LOCKSTEP_ISA
