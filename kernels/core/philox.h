// Philox 4x32-10, the counter-based generator of Salmon, Moraes, Dror, Shaw: "Parallel random
// numbers: as easy as 1, 2, 3" (SC'11). Every random number of the project is a pure function of
// (seed, purpose, step or epoch, sample, layer, element): no generator has state.
#pragma once

#include <array>
#include <cstdint>

namespace lockstep {

using PhiloxBlock = std::array<std::uint32_t, 4>;

// Ten rounds over a 128-bit counter under a 64-bit key.
constexpr PhiloxBlock philox4x32(PhiloxBlock counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<std::uint32_t>(product0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

// What a number is for; streams of different purposes never meet.
enum class RandomPurpose : std::uint32_t {
  kInitialWeights = 1,
  kSampleOrder = 2,
  kDropout = 3,
  kAugmentation = 4,
  kDatasetSplit = 5,
  kSynthetic = 6,
};

// The part of the counter and key that is fixed over one tensor. `layer` is the parameter's or
// layer's index in the model, `time` the step (dropout), epoch (order) or 0 (weights).
struct RandomKey {
  std::uint64_t seed = 0;
  RandomPurpose purpose = RandomPurpose::kInitialWeights;
  std::uint32_t layer = 0;
  std::uint64_t time = 0;

  // Four words for elements [4 block, 4 block + 4) of sample `sample` (0 where there is none).
  // time and sample are used up to 2^40, block up to 2^32, layer up to 2^12.
  constexpr PhiloxBlock block(std::uint64_t sample, std::uint32_t block) const {
    return philox4x32(counter(sample, block), words());
  }
  // Its two parts, for kernels that run Philox on vectors; `block` is the counter's first word.
  constexpr PhiloxBlock counter(std::uint64_t sample, std::uint32_t block) const {
    return {block, static_cast<std::uint32_t>(sample), static_cast<std::uint32_t>(time),
            static_cast<std::uint32_t>((sample >> 32) & 0xFF) |
                static_cast<std::uint32_t>((time >> 32) & 0xFF) << 8 | layer << 16 |
                static_cast<std::uint32_t>(purpose) << 28};
  }
  constexpr std::array<std::uint32_t, 2> words() const {
    return {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
  }
};

// [0, 1), the 24 upper bits: exact in float32.
constexpr float to_unit_float(std::uint32_t word) {
  return static_cast<float>(word >> 8) * 0x1p-24f;
}
// (0, 1), symmetric about one half, exact in double.
constexpr double to_open_unit(std::uint32_t word) {
  return (static_cast<double>(word) + 0.5) * 0x1p-32;
}

}  // namespace lockstep
