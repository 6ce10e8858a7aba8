// Winograd's transforms of tiles and weights, see winograd_kernels.h. Lanes are channels; the last
// vector of a pixel that is read overlaps the one before it where channels are no multiple of a
// vector's width.
#include "kernels/cpu/winograd_kernels.h"

#include "kernels/cpu/simd.h"
#include "kernels/cpu/simd/winograd_points.h"

namespace lockstep::cpu::LOCKSTEP_ISA {

using namespace winograd;  // NOLINT: the axes of this file's transforms

// The vectors of a pixel's channels.
template <typename Visit>
LOCKSTEP_INLINE void for_each_vector(std::int64_t channels, Visit visit) {
  std::int64_t c = 0;
  for (; c + kWidth <= channels; c += kWidth) visit(c);
  if (c < channels) visit(channels - kWidth);
}

enum class Source { kInput, kOutputGradient };

template <Source kSource, int kPoints>
LOCKSTEP_INLINE void to_points(const V* d, V* t) {
  if constexpr (kSource == Source::kInput) {
    data_to_points<kPoints>(d, t);
  } else {
    output_to_points<kPoints>(d, t);
  }
}

// Columns first, then rows.
template <Source kSource, bool kScattered, int kPointsH, int kPointsW>
static void tile_to_points(const WinogradPixels& source, const WinogradTile& tile) {
  constexpr int kLess = kSource == Source::kInput ? 0 : 2;
  constexpr int kRows = kPointsH - kLess, kColumns = kPointsW - kLess;
  const float* const* const pixels = source.pixels;
  const float* const first = source.first;
  const std::int64_t row = source.row_stride, column = source.column_stride,
                     plane = tile.plane_stride;
  float* const planes = tile.planes;
  for_each_vector(
      tile.channels, [=](std::int64_t c) __attribute__((always_inline)) {
        V half[6][kColumns];
#pragma GCC unroll 6
        for (int j = 0; j < kColumns; ++j) {
          V d[kRows], t[6];
#pragma GCC unroll 6
          for (int i = 0; i < kRows; ++i) {
            d[i] = load((kScattered ? pixels[i * kColumns + j] : first + i * row + j * column) + c);
          }
          to_points<kSource, kPointsH>(d, t);
#pragma GCC unroll 6
          for (int i = 0; i < kPointsH; ++i) half[i][j] = t[point<kPointsH>(i)];
        }
#pragma GCC unroll 6
        for (int i = 0; i < kPointsH; ++i) {
          V t[6];
          to_points<kSource, kPointsW>(half[i], t);
#pragma GCC unroll 6
          for (int j = 0; j < kPointsW; ++j) {
            const int at = point<kPointsW>(j);
            store(planes + (point<kPointsH>(i) * kWinogradPoints + at) * plane + c, t[at]);
          }
        }
      });
}

LOCKSTEP_INLINE int lanes_from(std::int64_t first, std::int64_t columns) {
  return columns - first < kWidth ? static_cast<int>(columns - first) : kWidth;
}

// Points of lanes behind the last channel hold anything.
template <int kPointsH, int kPointsW>
static void points_to_tile(const WinogradTile& tile, const float* bias, bool add_to,
                           float* const* pixels) {
  constexpr int kRows = kPointsH - 2, kColumns = kPointsW - 2;
  const float* const planes = tile.planes;
  const std::int64_t plane = tile.plane_stride, channels = tile.channels;
  for (std::int64_t c = 0; c < channels; c += kWidth) {
    V half[kRows][6];
#pragma GCC unroll 6
    for (int j = 0; j < kPointsW; ++j) {
      const int at = point<kPointsW>(j);
      V m[6], o[kRows];
#pragma GCC unroll 6
      for (int i = 0; i < kPointsH; ++i) {
        m[point<kPointsH>(i)] =
            load(planes + (point<kPointsH>(i) * kWinogradPoints + at) * plane + c);
      }
      points_to_output<kPointsH>(m, o);
#pragma GCC unroll 4
      for (int i = 0; i < kRows; ++i) half[i][at] = o[i];
    }
    const int lanes = lanes_from(c, channels);
    const V shift = bias ? load(bias + c, lanes) : set1(0.0f);
#pragma GCC unroll 4
    for (int i = 0; i < kRows; ++i) {
      V o[kColumns];
      points_to_output<kPointsW>(half[i], o);
#pragma GCC unroll 4
      for (int j = 0; j < kColumns; ++j) {
        float* const to = pixels[i * kColumns + j] + c;
        V value = bias ? add(o[j], shift) : o[j];
        if (add_to) value = add(load(to, lanes), value);
        store(to, value, lanes);
      }
    }
  }
}

// Calls call(points_h, points_w) with both as constants.
template <int kPoints>
struct Points {
  static constexpr int kValue = kPoints;
};
template <typename Call>
LOCKSTEP_INLINE void with_points(int points, Call call) {
  switch (points) {
    case 6:
      return call(Points<6>());
    case 5:
      return call(Points<5>());
    default:
      return call(Points<4>());
  }
}

template <Source kSource>
static void to_points(const WinogradPixels& pixels, const WinogradTile& tile) {
  with_points(
      tile.points_h, [&](auto h) __attribute__((always_inline)) {
        with_points(
            tile.points_w, [&](auto w) __attribute__((always_inline)) {
              if (pixels.pixels) {
                tile_to_points<kSource, true, h.kValue, w.kValue>(pixels, tile);
              } else {
                tile_to_points<kSource, false, h.kValue, w.kValue>(pixels, tile);
              }
            });
      });
}

static void output(const WinogradTile& tile, const float* bias, bool add_to, float* const* pixels) {
  with_points(
      tile.points_h, [&](auto h) __attribute__((always_inline)) {
        with_points(
            tile.points_w, [&](auto w) __attribute__((always_inline)) {
              points_to_tile<h.kValue, w.kValue>(tile, bias, add_to, pixels);
            });
      });
}

template <bool kToMemory>
static void transform_weights(const WinogradRows& rows, const float* w, float* points) {
  const std::int64_t tap = rows.tap_stride, plane = rows.point_stride;
  for (std::int64_t row = 0; row < rows.rows; ++row) {
    const float* const from = w + row * rows.row_stride;
    float* const to = points + row * rows.point_row_stride;
    for (std::int64_t n = 0; n < rows.columns; n += kWidth) {
      const int lanes = lanes_from(n, rows.columns);
      V half[6][3];
#pragma GCC unroll 3
      for (int j = 0; j < 3; ++j) {
        V taps[3], t[6];
#pragma GCC unroll 3
        for (int i = 0; i < 3; ++i) taps[i] = load(from + (3 * i + j) * tap + n, lanes);
        weights_to_points(taps, t);
#pragma GCC unroll 6
        for (int i = 0; i < 6; ++i) half[i][j] = t[i];
      }
#pragma GCC unroll 6
      for (int i = 0; i < 6; ++i) {
        V t[6];
        weights_to_points(half[i], t);
#pragma GCC unroll 6
        for (int j = 0; j < 6; ++j) {
          float* const at = to + (6 * i + j) * plane + n;
          if constexpr (kToMemory) {
            store_to_memory(at, t[j]);
          } else {
            store(at, t[j], lanes);
          }
        }
      }
    }
  }
  if constexpr (kToMemory) finish_stores_to_memory();
}

static void weights(const WinogradRows& rows, const float* w, float* points) {
  const bool whole_vectors =
      (rows.columns | rows.point_row_stride | rows.point_stride) % kWidth == 0 &&
      reinterpret_cast<std::uintptr_t>(points) % (kWidth * sizeof(float)) == 0;
  if (rows.streams && whole_vectors) {
    transform_weights<true>(rows, w, points);
  } else {
    transform_weights<false>(rows, w, points);
  }
}

static void weight_gradient(const WinogradRows& rows, const float* points, float* dw) {
  const std::int64_t tap = rows.tap_stride, plane = rows.point_stride;
  const bool add_to = rows.add;
  for (std::int64_t row = 0; row < rows.rows; ++row) {
    const float* const from = points + row * rows.point_row_stride;
    float* const to = dw + row * rows.row_stride;
    for (std::int64_t n = 0; n < rows.columns; n += kWidth) {
      const int lanes = lanes_from(n, rows.columns);
      V half[3][6];
#pragma GCC unroll 6
      for (int j = 0; j < 6; ++j) {
        V m[6], d[3];
#pragma GCC unroll 6
        for (int i = 0; i < 6; ++i) m[i] = load(from + (6 * i + j) * plane + n, lanes);
        points_to_weights(m, d);
#pragma GCC unroll 3
        for (int i = 0; i < 3; ++i) half[i][j] = d[i];
      }
#pragma GCC unroll 3
      for (int i = 0; i < 3; ++i) {
        V d[3];
        points_to_weights(half[i], d);
#pragma GCC unroll 3
        for (int j = 0; j < 3; ++j) {
          float* const at = to + (3 * i + j) * tap + n;
          store(at, add_to ? add(load(at, lanes), d[j]) : d[j], lanes);
        }
      }
    }
  }
}

}  // namespace lockstep::cpu::LOCKSTEP_ISA

const lockstep::WinogradKernels lockstep::cpu::LOCKSTEP_ISA::winograd_table = {
    lockstep::cpu::LOCKSTEP_ISA::to_points<lockstep::cpu::LOCKSTEP_ISA::Source::kInput>,
    lockstep::cpu::LOCKSTEP_ISA::output,
    lockstep::cpu::LOCKSTEP_ISA::to_points<lockstep::cpu::LOCKSTEP_ISA::Source::kOutputGradient>,
    lockstep::cpu::LOCKSTEP_ISA::weights, lockstep::cpu::LOCKSTEP_ISA::weight_gradient};
