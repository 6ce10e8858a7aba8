// The operations that `bench ops --device cuda` times, in float32 and bfloat16: those that move
// bytes, beside a device copy, and the convolutions and products that carry a network.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/backend.h"

namespace lockstep {

struct GpuOp {
  std::string name;               // "batch_norm_relu_forward bfloat16"
  double bytes = 0, flops = 0;    // the fewest that it moves; or what it multiplies and adds
  std::function<void()> prepare;  // makes its tensors, which live until the operation goes
  std::function<void(Stream&)> run;
};

// Tensors of up to `bytes` bytes each. The backends, the second of bfloat16 activations, must
// outlive the list.
std::vector<GpuOp> gpu_ops(Backend& backend, Backend& bfloat16, std::int64_t bytes);

}  // namespace lockstep
