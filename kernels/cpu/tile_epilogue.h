// TileEpilogue: Epilogue (backend.h) as the kernels that finish sums take it. Products, Winograd's
// transforms and depthwise convolutions call it on every tile of their output as soon as its sums
// are whole, while the tile is in the first- or second-level cache.
#pragma once

#include <cstdint>

namespace lockstep {

struct TileEpilogue {
  // In place, `columns` neighbouring channels of `rows` pixels that are row_stride apart.
  void (*apply)(const TileEpilogue&, float* tile, std::int64_t rows, std::int64_t row_stride,
                std::int64_t columns) = nullptr;
  const float* output = nullptr;  // element 0 of the whole output, which is dense
  std::int64_t channels = 0;      // of a pixel
  // One value a channel: (sum - mean) · factor + shift. mean null: no batch norm.
  const float *mean = nullptr, *factor = nullptr, *shift = nullptr;
  const float* residual = nullptr;  // as the output lies; may be null
  float parameter = 0;              // the activation's
};

}  // namespace lockstep
