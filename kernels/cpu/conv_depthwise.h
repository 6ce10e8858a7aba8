// Depthwise convolutions: as many groups as input and output channels. Their weights lie in memory
// as (kernel_h, kernel_w, channel), so that vectors of channels are read whole.
#pragma once

#include "kernels/backend.h"
#include "kernels/cpu/depthwise_kernels.h"
#include "kernels/cpu/tile_epilogue.h"

namespace lockstep {

constexpr bool is_depthwise(std::int64_t groups, std::int64_t in_c, std::int64_t out_c) {
  return groups > 1 && groups == in_c && groups == out_c;
}
inline bool is_depthwise(const ConvGeometry& g) {
  return is_depthwise(g.groups, g.in_c, g.out_c);
}

void depthwise_forward(Stream& stream, const DepthwiseKernels& kernels, const ConvGeometry& g,
                       std::int64_t images, const float* x, const float* w, const float* bias,
                       const TileEpilogue* epilogue, float* y);
void depthwise_backward_data(Stream& stream, const DepthwiseKernels& kernels, const ConvGeometry& g,
                             std::int64_t images, const float* dy, const float* w, bool add,
                             float* dx);
void depthwise_backward_weights(Stream& stream, const DepthwiseKernels& kernels,
                                const ConvGeometry& g, std::int64_t images, const float* x,
                                const float* dy, float* dw);

}  // namespace lockstep
