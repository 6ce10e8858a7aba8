// Winograd's gradient of the weights, F(3x3, 4x4): at each point the sum over all tiles of x times
// dy, one product of matrices, then 36 points become nine taps. Blocks of tiles and the runs within
// them depend on the shape alone.
#include <algorithm>

#include "kernels/cpu/gemm_runs.h"
#include "kernels/cpu/winograd.h"
#include "kernels/cpu/winograd_tiles.h"

namespace lockstep {
namespace {

struct Blocking {
  std::int64_t tiles, rows, columns;  // at once: tiles, input channels, output channels
};

// The sums at all points of `rows` by `columns` channels stay in the second-level cache. With few
// channels those are all channels, and few tiles at a time stay there, too.
Blocking blocking_of(std::int64_t in, std::int64_t out) {
  const std::int64_t most = std::max(in, out);
  if (most <= 64) return {28, in, out};
  if (most <= 128) return {56, in, out};
  return {256, std::min<std::int64_t>(in, 64), std::min<std::int64_t>(out, 64)};
}

class WeightGradient {
 public:
  WeightGradient(const WinogradTables& tables, const ConvGeometry& g, std::int64_t images)
      : tables_(tables),
        g_(g),
        tiles_(images, g.out_h(), g.out_w()),
        at_once_(blocking_of(g.in_c, g.out_c)),
        blocks_(tiles_.count(), at_once_.tiles),
        x_planes_(blocks_.largest(), g.in_c),
        dy_planes_(blocks_.largest(), g.out_c),
        sums_(at_once_.rows, at_once_.columns),
        row_blocks_((g.in_c + at_once_.rows - 1) / at_once_.rows),
        column_blocks_((g.out_c + at_once_.columns - 1) / at_once_.columns) {}

  void run(Stream& stream, const float* x, const float* dy, bool add, float* dw) const {
    // One block of tiles needs no sums but those at hand.
    const std::int64_t kept = blocks_.blocks > 1 ? row_blocks_ * column_blocks_ : 1;
    const std::int64_t pixel = std::max(g_.in_c, g_.out_c);
    Workspace workspace(
        stream, Workspace::bytes_of<float>(x_planes_.floats()) +
                    Workspace::bytes_of<float>(dy_planes_.floats()) +
                    Workspace::bytes_of<float>(kept * sums_.floats()) +
                    Workspace::bytes_of<float>(pixel) +
                    Workspace::bytes_of<GemmPiece>(RunBuilder::pieces_needed(1, most_terms())) +
                    Workspace::bytes_of<GemmRun>(runs_of(most_terms())));
    float* const x_points = workspace.take<float>(x_planes_.floats());
    float* const dy_points = workspace.take<float>(dy_planes_.floats());
    float* const sums = workspace.take<float>(kept * sums_.floats());
    float* const zeros = workspace.take<float>(pixel);
    std::fill_n(zeros, pixel, 0.0f);
    TileReader x_reader({g_.in_h, g_.in_w, g_.in_c}, x, zeros);
    TileReader dy_reader({g_.out_h(), g_.out_w(), g_.out_c}, dy, zeros);
    const Runs runs{workspace.take<GemmPiece>(RunBuilder::pieces_needed(1, most_terms())),
                    workspace.take<GemmRun>(runs_of(most_terms()))};

    for (std::int64_t block = 0; block < blocks_.blocks; ++block) {
      const std::int64_t first = blocks_.first(block), end = blocks_.first(block + 1);
      transform(x_reader, dy_reader, first, end, x_points, dy_points);
      for (std::int64_t i = 0; i < row_blocks_ * column_blocks_; ++i) {
        const Channels some = channels(i);
        float* const to = sums + (kept > 1 ? i : 0) * sums_.floats();
        multiply(runs, some, first, end, x_points, dy_points, to);
        if (block + 1 == blocks_.blocks) transform_back(some, to, add, dw);
      }
    }
  }

 private:
  struct Runs {
    GemmPiece* pieces;
    GemmRun* runs;
  };
  struct Channels {
    std::int64_t row, rows, column, columns;
  };

  std::int64_t most_terms() const { return blocks_.largest(); }

  Channels channels(std::int64_t index) const {
    const std::int64_t row = index / column_blocks_ * at_once_.rows,
                       column = index % column_blocks_ * at_once_.columns;
    return {row, std::min(at_once_.rows, g_.in_c - row), column,
            std::min(at_once_.columns, g_.out_c - column)};
  }

  void transform(TileReader& x_reader, TileReader& dy_reader, std::int64_t first, std::int64_t end,
                 float* x_points, float* dy_points) const {
    for (std::int64_t t = first; t < end; ++t) {
      const auto tile = tiles_.tile(t);
      const std::int64_t row = t - first;
      tables_.winograd.input(x_reader.read(tile.image, tile.y - g_.pad_h, tile.x - g_.pad_w,
                                           tile.points_h, tile.points_w),
                             {tile.points_h, tile.points_w, g_.in_c,
                              x_points + row * x_planes_.row_stride, x_planes_.plane_stride});
      tables_.winograd.output_gradient(
          dy_reader.read(tile.image, tile.y, tile.x, tile.points_h - 2, tile.points_w - 2),
          {tile.points_h, tile.points_w, g_.out_c, dy_points + row * dy_planes_.row_stride,
           dy_planes_.plane_stride});
    }
  }

  void multiply(const Runs& memory, const Channels& some, std::int64_t first, std::int64_t end,
                const float* x_points, const float* dy_points, float* sums) const {
    GemmProduct product;
    product.transposed = true;
    product.a_stride = x_planes_.row_stride;
    product.rows = some.rows;
    product.columns = some.columns;
    product.accumulate = first > 0;
    for (int plane = 0; plane < kWinogradPlanes; ++plane) {
      const auto range = tiles_.with_point(plane, first, end);
      if (range.count() == 0 && product.accumulate) continue;
      RunBuilder builder(memory.pieces, memory.runs, range.count());
      builder.append(0, 0, range.count(), product.a_stride);
      builder.use(product);
      const std::int64_t row = range.first - first;
      product.a = x_points + plane * x_planes_.plane_stride + row * x_planes_.row_stride + some.row;
      product.b = {
          dy_points + plane * dy_planes_.plane_stride + row * dy_planes_.row_stride + some.column,
          dy_planes_.row_stride, kPanelColumns};
      product.c = {sums + plane * sums_.plane_stride, sums_.row_stride, kPanelColumns};
      tables_.gemm.multiply(product);
    }
  }

  // The sums of some channels, to dw in panels of columns with rows (tap, channel).
  void transform_back(const Channels& some, const float* sums, bool add, float* dw) const {
    for (std::int64_t n = 0; n < some.columns; n += kPanelColumns) {
      const std::int64_t column = some.column + n;
      const std::int64_t width = std::min(kPanelColumns, g_.out_c - column);
      tables_.winograd.weight_gradient({.rows = some.rows,
                                        .columns = width,
                                        .row_stride = width,
                                        .tap_stride = g_.in_c * width,
                                        .point_row_stride = sums_.row_stride,
                                        .point_stride = sums_.plane_stride,
                                        .add = add},
                                       sums + n, dw + 9 * g_.in_c * column + some.row * width);
    }
  }

  WinogradTables tables_;
  const ConvGeometry& g_;
  WinogradTiles tiles_;
  Blocking at_once_;
  EvenBlocks blocks_;
  PointPlanes x_planes_, dy_planes_, sums_;
  std::int64_t row_blocks_, column_blocks_;
};

}  // namespace

void winograd_backward_weights(Stream& stream, const WinogradTables& tables, const ConvGeometry& g,
                               std::int64_t images, const float* x, const float* dy, bool add,
                               float* dw) {
  WeightGradient(tables, g, images).run(stream, x, dy, add, dw);
}

}  // namespace lockstep
