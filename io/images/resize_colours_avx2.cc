// Images of three and four channels, some rows at once, two neighbouring pixels of a row in one
// multiply-add of 16-bit numbers: weights of 22 bits are cut into two halves of 11.
#include <immintrin.h>

#include "io/images/resize_rows.h"

namespace lockstep::avx2 {
namespace {

constexpr int kRows = 8;  // at once, in registers
constexpr int kHalfBits = kResizeBits / 2;
constexpr std::int64_t kReadAtOnce = 8;  // bytes, of which two pixels are 6 or 8

// Two rows' pixels t and t + 1: of each row c0 of both, c1 of both, ...
template <int kChannels>
__m256i pixel_pairs(const std::uint8_t* upper, const std::uint8_t* lower) {
  const __m256i both = _mm256_inserti128_si256(
      _mm256_castsi128_si256(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(upper))),
      _mm_loadl_epi64(reinterpret_cast<const __m128i*>(lower)), 1);
  constexpr char kNext = kChannels, kNone = -1;
  constexpr char kFourth = kChannels == 4 ? 3 : kNone, kNextFourth = kChannels == 4 ? 7 : kNone;
  const __m128i places = _mm_setr_epi8(0, kNone, kNext, kNone, 1, kNone, kNext + 1, kNone, 2, kNone,
                                       kNext + 2, kNone, kFourth, kNone, kNextFourth, kNone);
  return _mm256_shuffle_epi8(both, _mm256_broadcastsi128_si256(places));
}

struct Sums {
  __m256i high = _mm256_setzero_si256();
  __m256i low = _mm256_set1_epi32(1 << (kResizeBits - 1));  // to round by

  void add(__m256i pixels, __m256i high_weights, __m256i low_weights) {
    high = _mm256_add_epi32(high, _mm256_madd_epi16(pixels, high_weights));
    low = _mm256_add_epi32(low, _mm256_madd_epi16(pixels, low_weights));
  }
  // Four bytes to each row; of three channels the last is overwritten by the next pixel.
  void put(std::uint8_t* upper, std::uint8_t* lower) const {
    const __m256i sums = _mm256_add_epi32(_mm256_slli_epi32(high, kHalfBits), low);
    const __m256i words = _mm256_packus_epi32(_mm256_srli_epi32(sums, kResizeBits), sums);
    const __m256i bytes = _mm256_packus_epi16(words, words);
    const int a = _mm256_extract_epi32(bytes, 0), b = _mm256_extract_epi32(bytes, 4);
    __builtin_memcpy(upper, &a, 4);
    __builtin_memcpy(lower, &b, 4);
  }
};

template <int kChannels>
void some_rows(const std::uint8_t* from, std::int64_t row_bytes, const ResizeTaps& taps,
               std::uint8_t* to, std::int64_t to_row_bytes) {
  constexpr int kLowMask = (1 << kHalfBits) - 1;
  for (std::int64_t x = 0; x < taps.count; ++x) {
    const std::uint8_t* near = from + (taps.first[x] - taps.skipped) * kChannels;
    const std::int32_t* weights = taps.weights + x * taps.taps;
    Sums sums[kRows / 2];
    for (std::int64_t t = 0; t < taps.taps; t += 2, near += 2 * kChannels) {
      const int first = weights[t], second = t + 1 < taps.taps ? weights[t + 1] : 0;
      const __m256i high = _mm256_set1_epi32((first >> kHalfBits) | (second >> kHalfBits) << 16);
      const __m256i low = _mm256_set1_epi32((first & kLowMask) | (second & kLowMask) << 16);
      for (int i = 0; i < kRows / 2; ++i) {
        const std::uint8_t* const upper = near + 2 * i * row_bytes;
        sums[i].add(pixel_pairs<kChannels>(upper, upper + row_bytes), high, low);
      }
    }
    for (int i = 0; i < kRows / 2; ++i) {
      std::uint8_t* const upper = to + x * kChannels + 2 * i * to_row_bytes;
      sums[i].put(upper, upper + to_row_bytes);
    }
  }
}

}  // namespace

void resize_across_colours(const std::uint8_t* from, std::int64_t row_bytes, std::int64_t rows,
                           std::int64_t channels, const ResizeTaps& taps, std::uint8_t* to,
                           std::int64_t to_row_bytes) {
  std::int64_t y = 0;
  // Reading goes beyond the last pixel of a row, which must not be that of the image.
  if (channels >= 3 && row_bytes >= kReadAtOnce)
    for (; y + kRows < rows; y += kRows)
      (channels == 3 ? some_rows<3> : some_rows<4>)(from + y * row_bytes, row_bytes, taps,
                                                    to + y * to_row_bytes, to_row_bytes);
  resize_across(from + y * row_bytes, row_bytes, rows - y, channels, taps, to + y * to_row_bytes,
                to_row_bytes);
}

}  // namespace lockstep::avx2
