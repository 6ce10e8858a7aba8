// Winograd's F(4x4, 3x3) for 3x3 convolutions of stride 1: images to 36 points by tiles of 4 x 4
// outputs, one matrix product a point, and back (Lavin and Gray 2016). 2.25 multiplications an
// output instead of 9; errors are 4 to 5 times those of the plain sums. Whether a convolution is
// computed this way depends on its shape alone.
#pragma once

#include <cstdint>

#include "kernels/backend.h"
#include "kernels/cpu/gemm_kernels.h"
#include "kernels/cpu/winograd_kernels.h"

namespace lockstep {

bool winograd_suits(const ConvGeometry& g);

// Transformed weights, for the forward pass or the data gradient.
std::int64_t winograd_packed_elements(const ConvGeometry& g);
void winograd_pack(Stream& stream, const WinogradKernels& kernels, const ConvGeometry& g,
                   bool data_gradient, const float* w, float* packed);

struct WinogradTables {
  const GemmKernels& gemm;
  const WinogradKernels& winograd;
};

void winograd_forward(Stream& stream, const WinogradTables& tables, const ConvGeometry& g,
                      std::int64_t images, const float* x, const float* packed, const float* bias,
                      const TileEpilogue* epilogue, float* y);
void winograd_backward_data(Stream& stream, const WinogradTables& tables, const ConvGeometry& g,
                            std::int64_t images, const float* dy, const float* packed, bool add,
                            float* dx);
void winograd_backward_weights(Stream& stream, const WinogradTables& tables, const ConvGeometry& g,
                               std::int64_t images, const float* x, const float* dy, bool add,
                               float* dw);

}  // namespace lockstep
