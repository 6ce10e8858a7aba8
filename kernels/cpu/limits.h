// Loops that find out what this processor can do at most: the scale of `lockstep bench ops`. It
// includes no other header of the project, as vector_kernels.h explains.
#pragma once

#include <cstdint>

namespace lockstep {

enum class Isa;

struct LimitKernels {
  // Fused multiply-adds on registers alone, in as many chains as keep the units busy;
  // flops_per_round for each round. The result keeps the compiler from leaving them out.
  float (*multiply_add)(std::int64_t rounds);
  std::int64_t flops_per_round;
  // y = a + factor · b (STREAM's triad, McCalpin 1995): 12 bytes an element. y may be b.
  void (*triad)(float factor, const float* a, const float* b, float* y, std::int64_t n);
  // Of a, in any order: 4 bytes an element, nothing written.
  float (*sum)(const float* a, std::int64_t n);
};

const LimitKernels& limit_kernels(Isa isa);

}  // namespace lockstep
