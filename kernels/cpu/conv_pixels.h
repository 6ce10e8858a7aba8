// Convolutions whose output has a few pixels only, as the last layers of a network for small
// images: the images of the batch are the rows of one product a pixel, over the taps that see the
// image there. Taps that no pixel sees cost nothing but the zeros of their gradient.
#pragma once

#include "kernels/backend.h"
#include "kernels/cpu/gemm_kernels.h"

namespace lockstep {

bool pixels_suit(const ConvGeometry& g);

// Turned weights for the data gradient; the forward pass takes the weights as they are.
std::int64_t pixels_packed_elements(const ConvGeometry& g);
void pixels_pack(const ConvGeometry& g, const float* w, float* packed);

void pixels_forward(Stream& stream, const GemmKernels& kernels, const ConvGeometry& g,
                    std::int64_t images, const float* x, const float* w, const float* bias,
                    const TileEpilogue* epilogue, float* y);
void pixels_backward_data(Stream& stream, const GemmKernels& kernels, const ConvGeometry& g,
                          std::int64_t images, const float* dy, const float* packed, bool add,
                          float* dx);
void pixels_backward_weights(Stream& stream, const GemmKernels& kernels, const ConvGeometry& g,
                             std::int64_t images, const float* x, const float* dy, bool add,
                             float* dw);
// Whether a tap's gradient is one run, so that `add` may add it to dw as it is.
bool pixels_add_gradient(const ConvGeometry& g, std::int64_t images);

}  // namespace lockstep
