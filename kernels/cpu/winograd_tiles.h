// How a batch of images is cut into tiles of 4 x 4 outputs, with smaller ones at the right and
// lower edges, and how tiles are read and written.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/winograd_kernels.h"

namespace lockstep {

struct WinogradAxis {
  std::int64_t full = 0;              // tiles of 4 outputs
  int last_points = kWinogradPoints;  // of the tile behind them: 5 or 4; 6: there is none

  explicit WinogradAxis(std::int64_t outputs) : full(outputs / 4) {
    const std::int64_t rest = outputs % 4;
    if (rest > 0) last_points = rest == 3 ? 5 : 4;
  }
  std::int64_t last() const { return last_points < kWinogradPoints ? 1 : 0; }
  // Whether the last tile leaves out point i: 4 (-b), and 3 (b) where it has 4 points.
  bool lacks(int i) const {
    return last_points == 4 ? i == 3 || i == 4 : last_points == 5 && i == 4;
  }
};

// Tiles in the order of their kind: last columns of full rows, full tiles, last rows of full
// columns, corners; within a kind by image and place. So the tiles with a given point are one
// range.
class WinogradTiles {
 public:
  struct Tile {
    std::int64_t image, y, x;  // of the first output
    int points_h, points_w;
  };
  struct Range {
    std::int64_t first, end;
    std::int64_t count() const { return end - first; }
  };

  WinogradTiles(std::int64_t images, std::int64_t outputs_h, std::int64_t outputs_w)
      : h_(outputs_h), w_(outputs_w) {
    ends_[0] = images * h_.full * w_.last();
    ends_[1] = ends_[0] + images * h_.full * w_.full;
    ends_[2] = ends_[1] + images * h_.last() * w_.full;
    ends_[3] = ends_[2] + images * h_.last() * w_.last();
  }

  std::int64_t count() const { return ends_[3]; }

  Tile tile(std::int64_t t) const {
    const int kind = t < ends_[0] ? 0 : t < ends_[1] ? 1 : t < ends_[2] ? 2 : 3;
    if (kind > 0) t -= ends_[kind - 1];
    const bool last_h = kind >= 2, last_w = kind == 0 || kind == 3;
    const std::int64_t high = last_h ? 1 : h_.full, wide = last_w ? 1 : w_.full;
    return {t / (high * wide), 4 * (last_h ? h_.full : t / wide % high),
            4 * (last_w ? w_.full : t % wide), last_h ? h_.last_points : kWinogradPoints,
            last_w ? w_.last_points : kWinogradPoints};
  }

  // Those of [first, end) that have the point of `plane`.
  Range with_point(int plane, std::int64_t first, std::int64_t end) const {
    const bool no_last_h = h_.lacks(plane / kWinogradPoints);
    const bool no_last_w = w_.lacks(plane % kWinogradPoints);
    const std::int64_t from = std::max(first, no_last_w ? ends_[0] : 0);
    const std::int64_t to = std::min(end, no_last_h ? ends_[1] : no_last_w ? ends_[2] : ends_[3]);
    return {from, std::max(from, to)};
  }

 private:
  WinogradAxis h_, w_;
  std::int64_t ends_[4];
};

struct ImageBatch {
  std::int64_t height = 0, width = 0, channels = 0;
  std::int64_t pixel(std::int64_t image, std::int64_t y, std::int64_t x) const {
    return ((image * height + y) * width + x) * channels;
  }
  bool inside(std::int64_t y, std::int64_t x) const {
    return y >= 0 && y < height && x >= 0 && x < width;
  }
};

class TileReader {
 public:
  // zeros: as many as a pixel has channels.
  TileReader(const ImageBatch& batch, const float* images, const float* zeros)
      : batch_(batch), images_(images), zeros_(zeros) {}

  // `rows` x `columns` pixels from (y, x) on; what lies outside the image is zero. Valid until the
  // next call.
  WinogradPixels read(std::int64_t image, std::int64_t y, std::int64_t x, int rows, int columns) {
    if (batch_.inside(y, x) && batch_.inside(y + rows - 1, x + columns - 1))
      return {nullptr, images_ + batch_.pixel(image, y, x), batch_.width * batch_.channels,
              batch_.channels};
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < columns; ++j)
        pixels_[i * columns + j] =
            batch_.inside(y + i, x + j) ? images_ + batch_.pixel(image, y + i, x + j) : zeros_;
    return {.pixels = pixels_};
  }

 private:
  ImageBatch batch_;
  const float* images_;
  const float* zeros_;
  const float* pixels_[kWinogradPlanes];
};

class TileWriter {
 public:
  // sink: takes what lies outside the image; as many floats as a pixel has channels.
  TileWriter(const ImageBatch& batch, float* images, float* sink)
      : batch_(batch), images_(images), sink_(sink) {}

  // Where the outputs of a tile go, from `channel` on; valid until the next call.
  float* const* places(const WinogradTiles::Tile& tile, std::int64_t channel) {
    const int rows = tile.points_h - 2, columns = tile.points_w - 2;
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < columns; ++j)
        places_[i * columns + j] =
            batch_.inside(tile.y + i, tile.x + j)
                ? images_ + batch_.pixel(tile.image, tile.y + i, tile.x + j) + channel
                : sink_;
    return places_;
  }

  // visit(first pixel, pixels) for each row of the tile's outputs inside the image, from `channel`
  // on.
  template <typename Visit>
  void for_each_row(const WinogradTiles::Tile& tile, std::int64_t channel, const Visit& visit) {
    const std::int64_t rows = std::min<std::int64_t>(tile.points_h - 2, batch_.height - tile.y);
    const std::int64_t pixels = std::min<std::int64_t>(tile.points_w - 2, batch_.width - tile.x);
    for (std::int64_t i = 0; i < rows; ++i)
      visit(images_ + batch_.pixel(tile.image, tile.y + i, tile.x) + channel, pixels);
  }

 private:
  ImageBatch batch_;
  float* images_;
  float* sink_;
  float* places_[16];
};

// Points of some tiles: plane p holds a row of channels a tile. Neighbouring planes, and rows of
// many channels, must not share the places of the first-level cache: they are an odd number of
// cache lines apart.
struct PointPlanes {
  std::int64_t row_stride = 0, plane_stride = 0;

  PointPlanes(std::int64_t rows, std::int64_t channels) {
    const std::int64_t lines = (channels + kLine - 1) / kLine;
    row_stride = (lines > kFewLines ? lines | 1 : lines) * kLine;
    plane_stride = (rows * row_stride / kLine | 1) * kLine;
  }
  std::int64_t floats() const { return kWinogradPlanes * plane_stride; }

 private:
  static constexpr std::int64_t kLine = 16, kFewLines = 8;
};

// [0, count) in as few even blocks of at most `most` as there can be.
struct EvenBlocks {
  std::int64_t count, blocks;
  EvenBlocks(std::int64_t n, std::int64_t most) : count(n), blocks((n + most - 1) / most) {}
  std::int64_t first(std::int64_t block) const { return count * block / blocks; }
  std::int64_t largest() const { return blocks == 0 ? 0 : (count + blocks - 1) / blocks; }
};

}  // namespace lockstep
