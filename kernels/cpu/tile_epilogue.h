// TileEpilogue: Epilogue (backend.h) as the kernels that finish sums take it. Products, Winograd's
// transforms and depthwise convolutions call it on every tile of their output as soon as its sums
// are whole, while the tile is in the first- or second-level cache.
#pragma once

#include <cstdint>

namespace lockstep {

// Rows (pixels) of a tile, so many elements apart.
template <typename T>
struct TileRows {
  T* data = nullptr;
  std::int64_t stride = 0;
};

struct TileEpilogue {
  // From finished sums to a part of the output, which may be the same memory: `columns`
  // neighbouring channels of `rows` pixels.
  using Apply = void (*)(const TileEpilogue&, TileRows<const float> sums, TileRows<float> tile,
                         std::int64_t rows, std::int64_t columns);
  Apply apply = nullptr;
  const float* output = nullptr;  // element 0 of the whole output, which is dense
  std::int64_t channels = 0;      // of a pixel
  // One value a channel: (sum - mean) · factor + shift. mean null: no batch norm.
  const float *mean = nullptr, *factor = nullptr, *shift = nullptr;
  const float* residual = nullptr;  // as the output lies; may be null
  float parameter = 0;              // the activation's
};

}  // namespace lockstep
