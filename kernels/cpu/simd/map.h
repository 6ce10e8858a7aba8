// Loops over n independent elements: whole vectors, then one masked tail.
#pragma once

#include "kernels/cpu/simd.h"

namespace lockstep::cpu::LOCKSTEP_ISA {

// y = function(x)
template <typename Function>
LOCKSTEP_INLINE void map(const float* x, float* y, std::int64_t n, Function function) {
  std::int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) store(y + i, function(load(x + i)));
  const int rest = static_cast<int>(n - i);
  if (rest > 0) store(y + i, function(load(x + i, rest)), rest);
}

// y = function(a, b)
template <typename Function>
LOCKSTEP_INLINE void map(const float* a, const float* b, float* y, std::int64_t n,
                         Function function) {
  std::int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) store(y + i, function(load(a + i), load(b + i)));
  const int rest = static_cast<int>(n - i);
  if (rest > 0) store(y + i, function(load(a + i, rest), load(b + i, rest)), rest);
}

}  // namespace lockstep::cpu::LOCKSTEP_ISA
