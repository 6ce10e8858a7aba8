// The loops of limits.h for one instruction set.
#include "kernels/cpu/limits.h"

#include "kernels/cpu/simd.h"

namespace lockstep::cpu::LOCKSTEP_ISA {
namespace {

constexpr int kChains = 12;  // two units with a latency of 4 or 5 cycles need 8 to 10

float sum_of_lanes(V vector) {
  float lanes[kWidth], sum = 0;
  store(lanes, vector);
  for (const float lane : lanes) sum += lane;
  return sum;
}

float multiply_add(std::int64_t rounds) {
  V chain[kChains];
  for (int i = 0; i < kChains; ++i) chain[i] = set1(static_cast<float>(i));
  const V factor = set1(0.5f), term = set1(1.0f);
  for (std::int64_t round = 0; round < rounds; ++round)
    for (int i = 0; i < kChains; ++i) chain[i] = fma(chain[i], factor, term);
  for (int i = 1; i < kChains; ++i) chain[0] = add(chain[0], chain[i]);
  return sum_of_lanes(chain[0]);
}

void triad(float factor, const float* a, const float* b, float* y, std::int64_t n) {
  const V factors = set1(factor);
  std::int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) store(y + i, fma(factors, load(b + i), load(a + i)));
  const int rest = static_cast<int>(n - i);
  store(y + i, fma(factors, load(b + i, rest), load(a + i, rest)), rest);
}

// In several places at once, which hides the latency of an addition and keeps prefetching busy.
float sum(const float* a, std::int64_t n) {
  constexpr int kPlaces = 8;
  const std::int64_t run = n / (kPlaces * kWidth) * kWidth;
  V chain[kPlaces];
  for (V& part : chain) part = set1(0.0f);
  for (std::int64_t i = 0; i < run; i += kWidth)
    for (int place = 0; place < kPlaces; ++place)
      chain[place] = add(chain[place], load(a + place * run + i));
  for (int place = 1; place < kPlaces; ++place) chain[0] = add(chain[0], chain[place]);
  float total = sum_of_lanes(chain[0]);
  for (std::int64_t i = kPlaces * run; i < n; ++i) total += a[i];
  return total;
}

}  // namespace

extern const LimitKernels kLimitKernels;
constinit const LimitKernels kLimitKernels = {multiply_add, 2 * kWidth* kChains, triad, sum};

}  // namespace lockstep::cpu::LOCKSTEP_ISA
