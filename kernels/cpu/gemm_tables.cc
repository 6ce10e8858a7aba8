// Which tables of products and of convolutions belong to which instruction set.
#include "kernels/cpu/backend_impl.h"
#include "kernels/cpu/depthwise_kernels.h"
#include "kernels/cpu/gemm_bf16.h"
#include "kernels/cpu/gemm_kernels.h"
#include "kernels/cpu/winograd_kernels.h"

#ifdef LOCKSTEP_X86_64
#define LOCKSTEP_TABLE_OF_PROCESSOR(isa, table)       \
  if (isa == Isa::kAvx512) return cpu::avx512::table; \
  if (isa == Isa::kAvx2) return cpu::avx2::table;
#elif defined(LOCKSTEP_AARCH64)
#define LOCKSTEP_TABLE_OF_PROCESSOR(isa, table) \
  if (isa == Isa::kNeon) return cpu::neon::table;
#else
#define LOCKSTEP_TABLE_OF_PROCESSOR(isa, table)
#endif

namespace lockstep {
namespace {

void check_generic(Isa isa) {
  LOCKSTEP_CHECK(isa == Isa::kGeneric, "{} is not part of this build", name_of(isa));
}

}  // namespace

const GemmKernels& gemm_kernels(Isa isa) {
  LOCKSTEP_TABLE_OF_PROCESSOR(isa, gemm_table)
  check_generic(isa);
  return cpu::generic::gemm_table;
}

GemmKernels product_kernels(Isa isa, Products products) {
  GemmKernels kernels = gemm_kernels(isa);
  if (products == Products::kFloat32) return kernels;
#ifdef LOCKSTEP_X86_64
  if (isa == Isa::kAvx512) {
    kernels.multiply = products == Products::kBFloat16Dots ? cpu::avx512_bf16::multiply_by_dots
                                                           : cpu::avx512_bf16::multiply_by_fma;
    return kernels;
  }
#endif
  throw Error("there are no bfloat16 products with {}", name_of(isa));
}

const WinogradKernels& winograd_kernels(Isa isa) {
  LOCKSTEP_TABLE_OF_PROCESSOR(isa, winograd_table)
  check_generic(isa);
  return cpu::generic::winograd_table;
}

const DepthwiseKernels& depthwise_kernels(Isa isa) {
  LOCKSTEP_TABLE_OF_PROCESSOR(isa, depthwise_table)
  check_generic(isa);
  return cpu::generic::depthwise_table;
}

}  // namespace lockstep
