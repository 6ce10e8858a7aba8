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

// The text for a place (a row of the batch, or an element) and the value there.
using FaultMessage = std::function<std::string(std::int64_t place, std::int64_t value)>;

// In device memory: the place in the upper half, the value in the lower, so that the smallest is
// the first place. Places below 2^31; values are cut off at 32 bits.
using FaultSlot = unsigned long long*;
inline constexpr unsigned long long kNoFault = ~0ull;

}  // namespace lockstep::gpu
