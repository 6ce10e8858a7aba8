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

// Exactly. A float32 with binary16's bits at its own place has an exponent that is 112 too small.
inline float from_float16(std::uint16_t value) {
  const std::uint32_t magnitude = (value & 0x7fffu) << 13;
  const std::uint32_t sign = (value & 0x8000u) << 16;
  const bool special = (value & 0x7c00u) == 0x7c00u;  // infinite or not a number
  const std::uint32_t bits =
      special ? magnitude | 0x7f800000u
              : std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) * 0x1p112f);
  return std::bit_cast<float>(bits | sign);
}

}  // namespace lockstep
