// The channels that cuDNN is given: in bfloat16 its plans for images whose channels do not fill 16
// bytes convert in large workspaces of their own (25 MB for 3 channels), those for padded ones do
// not. What is added is zeros, and nobody outside the back end sees it.
#pragma once

#include "kernels/backend.h"

namespace lockstep::gpu {

inline ConvGeometry padded_channels(ConvGeometry g, DType type) {
  constexpr std::int64_t kMultiple = 8;
  if (type == DType::kBFloat16 && g.groups == 1)
    g.in_c = (g.in_c + kMultiple - 1) / kMultiple * kMultiple;
  return g;
}

}  // namespace lockstep::gpu
