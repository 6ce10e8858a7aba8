// The GpuClock of the CUDA back end.
#pragma once

#include <memory>

#include "kernels/gpu/gpu_library.h"

namespace lockstep {

std::unique_ptr<GpuClock> make_cuda_clock();

}  // namespace lockstep
