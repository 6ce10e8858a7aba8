// Which tables of products and of Winograd's transforms belong to which instruction set.
#include "kernels/cpu/backend_impl.h"
#include "kernels/cpu/gemm_kernels.h"
#include "kernels/cpu/winograd_kernels.h"

namespace lockstep {

const GemmKernels& gemm_kernels(Isa isa) {
#ifdef LOCKSTEP_X86_64
  if (isa == Isa::kAvx512) return cpu::avx512::gemm_table;
  if (isa == Isa::kAvx2) return cpu::avx2::gemm_table;
#elif defined(LOCKSTEP_AARCH64)
  if (isa == Isa::kNeon) return cpu::neon::gemm_table;
#endif
  LOCKSTEP_CHECK(isa == Isa::kGeneric, "{} is not part of this build", name_of(isa));
  return cpu::generic::gemm_table;
}

const WinogradKernels& winograd_kernels(Isa isa) {
#ifdef LOCKSTEP_X86_64
  if (isa == Isa::kAvx512) return cpu::avx512::winograd_table;
  if (isa == Isa::kAvx2) return cpu::avx2::winograd_table;
#elif defined(LOCKSTEP_AARCH64)
  if (isa == Isa::kNeon) return cpu::neon::winograd_table;
#endif
  LOCKSTEP_CHECK(isa == Isa::kGeneric, "{} is not part of this build", name_of(isa));
  return cpu::generic::winograd_table;
}

}  // namespace lockstep
