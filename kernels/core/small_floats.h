// Floats of 16 bits as they stand in files and travel between ranks. bfloat16 is the upper half of
// a float32's bits; float16 is IEEE 754's binary16. To bfloat16 is rounded to nearest, ties to
// even, and NaN stays NaN (a payload in the lower half alone would else become infinity).
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

// Exactly, also on a thread that takes denormal float32 for zero: none occurs on the way.
inline float from_float16(std::uint16_t value) {
  const std::uint32_t exponent = value >> 10 & 0x1fu, fraction = value & 0x3ffu;
  std::uint32_t bits;
  if (exponent == 0)
    bits = std::bit_cast<std::uint32_t>(static_cast<float>(fraction) * 0x1p-24f);
  else if (exponent == 0x1fu)  // infinite or not a number
    bits = 0x7f800000u | fraction << 13;
  else
    bits = (exponent + 112) << 23 | fraction << 13;
  return std::bit_cast<float>(bits | (value & 0x8000u) << 16);
}

}  // namespace lockstep
