// The weight gradient of a convolution with 1 x 1 kernels, which is that of a linear layer.
#pragma once

#include <cstdint>

#include "kernels/core/device.h"
#include "kernels/cpu/gemm_kernels.h"

namespace lockstep {

// dw(i, o) = sum over the rows of x(row, i) dy(row, o), in panels; dbias (may be missing) is dy's.
// Rows are taken in groups that stay in the second-level cache.
void pointwise_backward_weights(Stream& stream, const GemmKernels& kernels, std::int64_t rows,
                                std::int64_t in, std::int64_t out, const float* x, const float* dy,
                                float* dw, float* dbias);

}  // namespace lockstep
