// Float32 biases of bfloat16 rows: as cuBLASLt takes them, and added where cuDNN takes none.
#pragma once

#include "kernels/cuda/gpu.h"

namespace lockstep::gpu {

void round_channel_bias(RawStream stream, std::int64_t channels, const float* bias, void* narrow);

// y[i] += bias[i % channels] for `elements` numbers of bfloat16.
void add_channel_bias(RawStream stream, std::int64_t elements, std::int64_t channels,
                      const float* bias, void* y);

}  // namespace lockstep::gpu
