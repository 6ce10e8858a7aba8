// Products with bfloat16 operands: a and b of a GemmProduct are rounded to bfloat16 (to nearest,
// ties to even; denormals to zero) as they are read, everything else stays float32. Runs are those
// of float32 products.
#pragma once

#include "kernels/cpu/gemm_kernels.h"

namespace lockstep::cpu::avx512_bf16 {

// By vdpbf16ps, which adds two terms at a time: bits of this instruction alone.
void multiply_by_dots(const GemmProduct& product);
// By fused multiply-adds of float32: the bits of a float32 product of the rounded operands.
void multiply_by_fma(const GemmProduct& product);

}  // namespace lockstep::cpu::avx512_bf16
