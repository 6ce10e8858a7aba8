// Values in a batch that a kernel cannot use, such as a class that the network does not have. A
// kernel cannot throw: it keeps the first such place, and the stream throws when the host waits for
// it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace lockstep::gpu {

enum class FaultKind { kCrossEntropy, kBinaryCrossEntropy, kHinge, kTopK, kEmbedding };
inline constexpr int kFaultKinds = 5;

struct Fault {
  std::int64_t place = 0;   // a row of the batch, or an element
  std::int64_t value = 0;   // there
  std::int64_t sample = 0;  // its place in the split, where the operation knows it
};
using FaultMessage = std::function<std::string(const Fault&)>;

// In device memory: two words with the place in their upper halves, so that the smallest are those
// of the first place, and the value and the sample in the lower. Places below 2^31; values and
// samples are cut off at 32 bits.
using FaultSlot = unsigned long long*;
inline constexpr int kFaultWords = 2;
inline constexpr unsigned long long kNoFault = ~0ull;

}  // namespace lockstep::gpu
