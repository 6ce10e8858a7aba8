// The tables of all instruction sets that this build holds.
#include "kernels/cpu/vector_kernels.h"

#include "kernels/cpu/backend_impl.h"

// What simd/tables.h declares, once more in the namespace of each instruction set.
#define LOCKSTEP_VECTOR_TABLE(isa)                       \
  namespace lockstep::cpu::isa {                         \
  extern const ActivationKernels kActivationKernels;     \
  extern const EpilogueKernels kEpilogueKernels;         \
  extern const ElementwiseKernels kElementwiseKernels;   \
  extern const PoolKernels kPoolKernels;                 \
  extern const AdaptivePoolKernels kAdaptivePoolKernels; \
  extern const MaxoutKernels kMaxoutKernels;             \
  extern const LayerNormKernels kLayerNormKernels;       \
  extern const NormKernels kNormKernels;                 \
  extern const BatchNormKernels kBatchNormKernels;       \
  extern const LossKernels kLossKernels;                 \
  extern const RobustLossKernels kRobustLossKernels;     \
  extern const RecurrentKernels kRecurrentKernels;       \
  extern const UpdateKernels kUpdateKernels;             \
  static const VectorKernels kVectorKernels = {          \
      .activation = kActivationKernels,                  \
      .epilogue = kEpilogueKernels,                      \
      .elementwise = kElementwiseKernels,                \
      .pool = kPoolKernels,                              \
      .adaptive_pool = kAdaptivePoolKernels,             \
      .maxout = kMaxoutKernels,                          \
      .layer_norm = kLayerNormKernels,                   \
      .norm = kNormKernels,                              \
      .batch_norm = kBatchNormKernels,                   \
      .loss = kLossKernels,                              \
      .robust_loss = kRobustLossKernels,                 \
      .recurrent = kRecurrentKernels,                    \
      .update = kUpdateKernels,                          \
  };                                                     \
  }

LOCKSTEP_VECTOR_TABLE(generic)
#ifdef LOCKSTEP_X86_64
LOCKSTEP_VECTOR_TABLE(avx2)
LOCKSTEP_VECTOR_TABLE(avx512)
#elif defined(LOCKSTEP_AARCH64)
LOCKSTEP_VECTOR_TABLE(neon)
#endif

namespace lockstep {

const VectorKernels& vector_kernels(Isa isa) {
  switch (isa) {
    case Isa::kGeneric:
      return cpu::generic::kVectorKernels;
#ifdef LOCKSTEP_X86_64
    case Isa::kAvx2:
      return cpu::avx2::kVectorKernels;
    case Isa::kAvx512:
      return cpu::avx512::kVectorKernels;
#elif defined(LOCKSTEP_AARCH64)
    case Isa::kNeon:
      return cpu::neon::kVectorKernels;
#endif
    default:
      throw Error("this build holds no kernels for \"{}\"", name_of(isa));
  }
}

}  // namespace lockstep
