// What Winograd convolutions ask of the vector kernels: tiles of images to and from the 36 points
// at which products are taken, F(4x4, 3x3) (Lavin and Gray 2016). Beside the full tile of 4 outputs
// and 6 points an axis there are last tiles of 3 outputs and 5 points, and of 2 and 4: subsets of
// the same points, so that all tiles share one set of transformed weights. The products themselves
// are calls of GemmKernels::multiply. One table a set of instructions; every table gives the same
// bits.
#pragma once

#include <cstdint>

namespace lockstep {

inline constexpr int kWinogradPoints = 6;  // an axis; point (i, j) of a tile is plane 6 i + j
inline constexpr int kWinogradPlanes = kWinogradPoints * kWinogradPoints;
inline constexpr std::int64_t kWinogradFewChannels = 16;  // every kernel wants at least so many

// points_h, points_w: 6, 5 or 4; an axis has two pixels less of output. `channels` is at least
// kWinogradFewChannels.
struct WinogradTile {
  int points_h = kWinogradPoints, points_w = kWinogradPoints;
  std::int64_t channels = 0;
  float* planes = nullptr;  // channel c of point p stands at p · plane_stride + c
  std::int64_t plane_stride = 0;
};

// Where the pixels of a tile stand: one pointer a pixel, row by row; or, where `pixels` is null, at
// first + row · row_stride + column · column_stride.
struct WinogradPixels {
  const float* const* pixels = nullptr;
  const float* first = nullptr;
  std::int64_t row_stride = 0, column_stride = 0;
};

// Rows of `columns` (at most 32) weights or gradients, for nine taps or at 36 points.
struct WinogradRows {
  std::int64_t rows = 0, columns = 0;
  std::int64_t row_stride = 0, tap_stride = 0;          // of weights
  std::int64_t point_row_stride = 0, point_stride = 0;  // of transformed ones
  bool streams = false;  // transformed ones are more than a cache holds: they go past it
  bool add = false;      // to the weights' gradient at hand
};

struct WinogradKernels {
  // Images to points: points_h x points_w pixels.
  void (*input)(const WinogradPixels& pixels, const WinogradTile& tile);
  // Points to outputs: (points_h - 2) x (points_w - 2) pixels, plus bias (may be null); `add`: to
  // what the pixels hold.
  void (*output)(const WinogradTile& tile, const float* bias, bool add, float* const* pixels);
  // Gradients of outputs to points, for the gradient of the weights.
  void (*output_gradient)(const WinogradPixels& pixels, const WinogradTile& tile);
  void (*weights)(const WinogradRows& rows, const float* w, float* points);
  void (*weight_gradient)(const WinogradRows& rows, const float* points, float* dw);
};

namespace cpu::generic {
extern const WinogradKernels winograd_table;
}
namespace cpu::avx2 {
extern const WinogradKernels winograd_table;
}
namespace cpu::avx512 {
extern const WinogradKernels winograd_table;
}
namespace cpu::neon {
extern const WinogradKernels winograd_table;
}

}  // namespace lockstep
