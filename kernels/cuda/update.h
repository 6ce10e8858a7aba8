// The tree over shards' gradients, whose divisor may lie in the device's memory.
#pragma once

#include "kernels/cuda/backend_impl.h"

namespace lockstep::gpu {

// As Backend::tree_sum; where `divisor_there` is not null, divided by that instead.
void tree_sum(Stream& stream, std::span<const TreeNode> nodes, float divisor,
              const double* divisor_there, Tensor& y);

}  // namespace lockstep::gpu
