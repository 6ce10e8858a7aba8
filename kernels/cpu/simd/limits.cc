// The loops of limits.h for one instruction set.
#include "kernels/cpu/limits.h"

#include "kernels/cpu/simd.h"

namespace lockstep::cpu::LOCKSTEP_ISA {
namespace {

constexpr int kChains = 12;  // two units with a latency of 4 or 5 cycles need 8 to 10

float multiply_add(std::int64_t rounds) {
  V chain[kChains];
  for (int i = 0; i < kChains; ++i) chain[i] = set1(static_cast<float>(i));
  const V factor = set1(0.5f), term = set1(1.0f);
  for (std::int64_t round = 0; round < rounds; ++round)
    for (int i = 0; i < kChains; ++i) chain[i] = fma(chain[i], factor, term);
  for (int i = 1; i < kChains; ++i) chain[0] = add(chain[0], chain[i]);
  float lanes[kWidth];
  store(lanes, chain[0]);
  return lanes[0];
}

void triad(float factor, const float* a, const float* b, float* y, std::int64_t n) {
  const V factors = set1(factor);
  std::int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) store(y + i, fma(factors, load(b + i), load(a + i)));
  const int rest = static_cast<int>(n - i);
  store(y + i, fma(factors, load(b + i, rest), load(a + i, rest)), rest);
}

}  // namespace

extern const LimitKernels kLimitKernels;
constinit const LimitKernels kLimitKernels = {multiply_add, 2 * kWidth* kChains, triad};

}  // namespace lockstep::cpu::LOCKSTEP_ISA
