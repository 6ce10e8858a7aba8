// Which table of limits belongs to which instruction set.
#include "kernels/cpu/limits.h"

#include "kernels/cpu/cpu_backend.h"

namespace lockstep {

namespace cpu::generic {
extern const LimitKernels kLimitKernels;
}
namespace cpu::avx2 {
extern const LimitKernels kLimitKernels;
}
namespace cpu::avx512 {
extern const LimitKernels kLimitKernels;
}
namespace cpu::neon {
extern const LimitKernels kLimitKernels;
}

const LimitKernels& limit_kernels(Isa isa) {
#ifdef LOCKSTEP_X86_64
  if (isa == Isa::kAvx512) return cpu::avx512::kLimitKernels;
  if (isa == Isa::kAvx2) return cpu::avx2::kLimitKernels;
#elif defined(LOCKSTEP_AARCH64)
  if (isa == Isa::kNeon) return cpu::neon::kLimitKernels;
#endif
  LOCKSTEP_CHECK(isa == Isa::kGeneric, "{} is not part of this build", name_of(isa));
  return cpu::generic::kLimitKernels;
}

}  // namespace lockstep
