// Depthwise convolutions: as many groups as input and output channels. Their weights lie in memory
// as (kernel_h, kernel_w, channel), so that packs of channels are read whole.
#pragma once

#include "kernels/backend.h"

namespace lockstep::gpu {

constexpr bool is_depthwise(std::int64_t groups, std::int64_t in_c, std::int64_t out_c) {
  return groups > 1 && groups == in_c && groups == out_c;
}
inline bool is_depthwise(const ConvGeometry& g) {
  return is_depthwise(g.groups, g.in_c, g.out_c);
}

// bias may be undefined. Tensors have been checked.
void depthwise_forward(Stream& stream, const ConvGeometry& g, const Tensor& x, const Tensor& w,
                       const Tensor& bias, Tensor& y);
// add: to what dx holds.
void depthwise_backward_data(Stream& stream, const ConvGeometry& g, const Tensor& dy,
                             const Tensor& w, bool add, Tensor& dx);
void depthwise_backward_weights(Stream& stream, const ConvGeometry& g, const Tensor& x,
                                const Tensor& dy, Tensor& dw);

}  // namespace lockstep::gpu
