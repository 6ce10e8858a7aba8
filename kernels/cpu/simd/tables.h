// The tables that the files of this folder define, one each. Everything else in them is private.
#pragma once

#include "kernels/cpu/vector_kernels.h"

namespace lockstep::cpu::LOCKSTEP_ISA {

extern const ActivationKernels kActivationKernels;
extern const EpilogueKernels kEpilogueKernels;
extern const ElementwiseKernels kElementwiseKernels;
extern const PoolKernels kPoolKernels;
extern const AdaptivePoolKernels kAdaptivePoolKernels;
extern const MaxoutKernels kMaxoutKernels;
extern const LayerNormKernels kLayerNormKernels;
extern const NormKernels kNormKernels;
extern const BatchNormKernels kBatchNormKernels;
extern const LossKernels kLossKernels;
extern const RobustLossKernels kRobustLossKernels;
extern const RecurrentKernels kRecurrentKernels;
extern const UpdateKernels kUpdateKernels;

}  // namespace lockstep::cpu::LOCKSTEP_ISA
