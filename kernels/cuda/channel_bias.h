// A float32 bias added to bfloat16 rows, for products and convolutions whose library cannot add it
// on the way.
#pragma once

#include "kernels/cuda/gpu.h"

namespace lockstep::gpu {

// y[i] += bias[i % channels] for `elements` numbers of bfloat16.
void add_channel_bias(RawStream stream, std::int64_t elements, std::int64_t channels,
                      const float* bias, void* y);

}  // namespace lockstep::gpu
