// Byte dot products: sixteen bytes of the result in a vector of sums, for any number of channels.
// g++ 12 warns of its own header's undefined vectors, wherever they are inlined.
#pragma GCC diagnostic ignored "-Wuninitialized"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#include "io/images/resize_vnni.h"

namespace lockstep::vnni {
namespace {

constexpr std::int64_t kRowsAtOnce = 16;  // their bytes stay in the nearest cache

__mmask64 first_bytes(std::int64_t count) {
  return count >= 64 ? ~__mmask64{0} : count <= 0 ? 0 : (__mmask64{1} << count) - 1;
}

__m512i load(const void* from) {
  return _mm512_loadu_si512(from);
}

struct Sums {
  __m512i digits[kResizeDigits] = {_mm512_set1_epi32(1 << (kResizeBits - 1)),  // to round by
                                   _mm512_setzero_si512(), _mm512_setzero_si512()};

  __m512i pixels() const {
    const __m512i upper = _mm512_add_epi32(_mm512_slli_epi32(digits[2], 8), digits[1]);
    const __m512i sum = _mm512_add_epi32(_mm512_slli_epi32(upper, 8), digits[0]);
    return _mm512_srli_epi32(sum, kResizeBits);
  }
};

// One group of kLanes bytes of some rows.
template <bool kWide>
void some_rows(const std::uint8_t* from, std::int64_t row_bytes, std::int64_t rows,
               const ResizeLanes* lanes, std::int64_t blocks, __mmask16 kept, std::uint8_t* to,
               std::int64_t to_row_bytes) {
  for (std::int64_t y = 0; y < rows; ++y, from += row_bytes, to += to_row_bytes) {
    Sums sums;
    for (std::int64_t block = 0; block < blocks; ++block) {
      const ResizeLanes& lane = lanes[block];
      const std::uint8_t* const near = from + lane.begin;
      const __m512i left = _mm512_maskz_loadu_epi8(first_bytes(lane.window), near);
      const __m512i places = load(lane.places);
      const __m512i pixels =
          kWide
              ? _mm512_permutex2var_epi8(
                    left, places, _mm512_maskz_loadu_epi8(first_bytes(lane.window - 64), near + 64))
              : _mm512_permutexvar_epi8(places, left);
      for (int digit = 0; digit < kResizeDigits; ++digit)
        sums.digits[digit] =
            _mm512_dpbusd_epi32(sums.digits[digit], pixels, load(lane.digits[digit]));
    }
    _mm_mask_storeu_epi8(to, kept, _mm512_cvtusepi32_epi8(sums.pixels()));
  }
}

// Up to 64 neighbouring bytes of one row.
void down_bytes(const std::uint8_t* from, std::int64_t row_bytes, std::int64_t taps,
                const std::int32_t* digits, std::int64_t blocks, __mmask64 kept, std::uint8_t* to) {
  Sums sums[4];
  for (std::int64_t block = 0; block < blocks; ++block, digits += kResizeDigits) {
    __m512i rows[kTapsAtOnce];
    for (std::int64_t i = 0; i < kTapsAtOnce; ++i) {
      const std::int64_t tap = block * kTapsAtOnce + i;
      rows[i] = _mm512_maskz_loadu_epi8(kept, from + (tap < taps ? tap : taps - 1) * row_bytes);
    }
    const __m512i low01 = _mm512_unpacklo_epi8(rows[0], rows[1]);
    const __m512i high01 = _mm512_unpackhi_epi8(rows[0], rows[1]);
    const __m512i low23 = _mm512_unpacklo_epi8(rows[2], rows[3]);
    const __m512i high23 = _mm512_unpackhi_epi8(rows[2], rows[3]);
    const __m512i columns[4] = {
        _mm512_unpacklo_epi16(low01, low23), _mm512_unpackhi_epi16(low01, low23),
        _mm512_unpacklo_epi16(high01, high23), _mm512_unpackhi_epi16(high01, high23)};
    for (int digit = 0; digit < kResizeDigits; ++digit) {
      const __m512i weights = _mm512_set1_epi32(digits[digit]);
      for (int i = 0; i < 4; ++i)
        sums[i].digits[digit] = _mm512_dpbusd_epi32(sums[i].digits[digit], columns[i], weights);
    }
  }
  const __m512i words0 = _mm512_packus_epi32(sums[0].pixels(), sums[1].pixels());
  const __m512i words1 = _mm512_packus_epi32(sums[2].pixels(), sums[3].pixels());
  _mm512_mask_storeu_epi8(to, kept, _mm512_packus_epi16(words0, words1));
}

}  // namespace

void resize_across(const std::uint8_t* from, std::int64_t row_bytes, std::int64_t rows,
                   const ResizeLanes* lanes, std::int64_t blocks, std::int64_t bytes,
                   std::uint8_t* to, std::int64_t to_row_bytes) {
  for (std::int64_t y = 0; y < rows; y += kRowsAtOnce) {
    const std::int64_t some = rows - y < kRowsAtOnce ? rows - y : kRowsAtOnce;
    const ResizeLanes* group = lanes;
    for (std::int64_t byte = 0; byte < bytes; byte += kLanes, group += blocks) {
      bool wide = false;
      for (std::int64_t block = 0; block < blocks; ++block) wide |= group[block].window > 64;
      (wide ? some_rows<true> : some_rows<false>)(from + y * row_bytes, row_bytes, some, group,
                                                  blocks,
                                                  static_cast<__mmask16>(first_bytes(bytes - byte)),
                                                  to + y * to_row_bytes + byte, to_row_bytes);
    }
  }
}

void resize_down(const std::uint8_t* from, std::int64_t row_bytes, std::int64_t bytes,
                 const ResizeTaps& taps, const std::int32_t* digits, std::int64_t blocks,
                 std::uint8_t* to, std::int64_t to_row_bytes) {
  for (std::int64_t y = 0; y < taps.count; ++y) {
    const std::uint8_t* const near = from + (taps.first[y] - taps.skipped) * row_bytes;
    for (std::int64_t byte = 0; byte < bytes; byte += 64)
      down_bytes(near + byte, row_bytes, taps.taps, digits + y * blocks * kResizeDigits, blocks,
                 first_bytes(bytes - byte), to + y * to_row_bytes + byte);
  }
}

}  // namespace lockstep::vnni
