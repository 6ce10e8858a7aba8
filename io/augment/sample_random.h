// SampleRandom: the numbers that one transform draws for one sample, a pure function of (seed,
// epoch, sample, transform): where and when they are drawn changes nothing.
#pragma once

#include <cstdint>

#include "kernels/core/philox.h"

namespace lockstep {

class SampleRandom {
 public:
  // `transform`: its index in the list.
  SampleRandom(std::uint64_t seed, std::int64_t epoch, std::int64_t sample, std::size_t transform)
      : key_{.seed = seed,
             .purpose = RandomPurpose::kAugmentation,
             .layer = static_cast<std::uint32_t>(transform),
             .time = static_cast<std::uint64_t>(epoch)},
        sample_(static_cast<std::uint64_t>(sample)) {}

  std::uint32_t word() {
    if (drawn_ % 4 == 0) words_ = key_.block(sample_, drawn_ / 4);
    return words_[drawn_++ % 4];
  }
  double unit() { return to_open_unit(word()); }  // (0, 1)
  double uniform(double low, double high) { return low + (high - low) * unit(); }
  // [0, count), up to 2^-32 · count; count is below 2^31.
  std::int64_t below(std::int64_t count) {
    return static_cast<std::int64_t>(std::uint64_t{word()} * static_cast<std::uint64_t>(count) >>
                                     32);
  }
  bool chance(double p) { return unit() < p; }

 private:
  RandomKey key_;
  std::uint64_t sample_;
  std::uint32_t drawn_ = 0;
  PhiloxBlock words_{};
};

}  // namespace lockstep
