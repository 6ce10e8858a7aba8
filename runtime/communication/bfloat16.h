// bfloat16 as it travels between ranks: the upper half of a float's bits. Rounded to nearest, ties
// to even; NaN stays NaN (a payload in the lower half alone would else become infinity).
#pragma once

#include <bit>
#include <cstdint>

namespace lockstep {

inline std::uint16_t to_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

inline float from_bfloat16(std::uint16_t value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
}

}  // namespace lockstep
