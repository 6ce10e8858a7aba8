// Random numbers of synthetic data, by arithmetic that IEEE 754 defines to the bit.
#pragma once

#include <cstdint>

#include "kernels/core/initializers.h"
#include "kernels/core/philox.h"

namespace lockstep {

// What a number is for; draws of different streams are independent.
enum class SyntheticStream : std::uint32_t { kInput = 1, kNoise = 2, kRule = 3, kLabelNoise = 4 };

class Draws {
 public:
  Draws(std::uint64_t seed, SyntheticStream stream)
      : key_{.seed = seed,
             .purpose = RandomPurpose::kSynthetic,
             .layer = static_cast<std::uint32_t>(stream)} {}

  PhiloxBlock block(std::int64_t row, std::int64_t block) const {
    return key_.block(static_cast<std::uint64_t>(row), static_cast<std::uint32_t>(block));
  }
  double uniform(std::int64_t row, std::int64_t element) const {  // (0, 1)
    return to_open_unit(block(row, element / 4)[static_cast<std::size_t>(element % 4)]);
  }
  double normal(std::int64_t row, std::int64_t element) const {  // N(0, 1)
    return normal_quantile(uniform(row, element));
  }

 private:
  RandomKey key_;
};

}  // namespace lockstep
