// Philox (kernels/core/philox.h) in kernels: the same words for the same key, sample and block.
#pragma once

#include "kernels/core/philox.h"
#include "kernels/cuda/kernel.h"

namespace lockstep::gpu {

struct PhiloxWords {
  std::uint32_t word[4];
};

class PhiloxKey {
 public:
  explicit PhiloxKey(const RandomKey& key) {
    const PhiloxBlock counter = key.counter(0, 0);
    for (int i = 0; i < 4; ++i) counter_[i] = counter[static_cast<std::size_t>(i)];
    key_[0] = key.words()[0];
    key_[1] = key.words()[1];
  }

  // Four words for elements [4 block, 4 block + 4) of a sample.
  __device__ __forceinline__ PhiloxWords block(std::uint64_t sample, std::uint32_t block) const {
    std::uint32_t c0 = block, c1 = static_cast<std::uint32_t>(sample), c2 = counter_[2];
    std::uint32_t c3 = counter_[3] | static_cast<std::uint32_t>(sample >> 32 & 0xFF);
    std::uint32_t key0 = key_[0], key1 = key_[1];
#pragma unroll
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t product0 = std::uint64_t{0xD2511F53} * c0;
      const std::uint64_t product1 = std::uint64_t{0xCD9E8D57} * c2;
      c0 = static_cast<std::uint32_t>(product1 >> 32) ^ c1 ^ key0;
      c1 = static_cast<std::uint32_t>(product1);
      c2 = static_cast<std::uint32_t>(product0 >> 32) ^ c3 ^ key1;
      c3 = static_cast<std::uint32_t>(product0);
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
  }

 private:
  std::uint32_t counter_[4];  // of sample 0, block 0
  std::uint32_t key_[2];
};

// [0, 1), the 24 upper bits: exact in float32.
__device__ __forceinline__ float unit_float(std::uint32_t word) {
  return static_cast<float>(word >> 8) * 0x1p-24f;
}

}  // namespace lockstep::gpu
