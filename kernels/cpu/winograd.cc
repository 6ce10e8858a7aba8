// Winograd's forward pass and data gradient, which is a forward pass over dy with the kernel turned
// round, and the transformed weights of both.
#include "kernels/cpu/winograd.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/gemm_runs.h"
#include "kernels/cpu/panels.h"
#include "kernels/cpu/winograd_tiles.h"

namespace lockstep {
namespace {

constexpr std::int64_t kTaps = 9;
// So many floats of transformed weights stay in the second-level cache.
constexpr std::int64_t kWeightsInCache = 1 << 18;
bool streams(std::int64_t in, std::int64_t out) {
  return kWinogradPlanes * in * out > kWeightsInCache;
}

// Output channels in even blocks of some panels: the products of a block at all points are taken
// before they are transformed back, and its transformed weights lie one behind the other in the
// order in which they are read. A block never ends with less than kWinogradFewChannels.
class ColumnBlocks {
 public:
  explicit ColumnBlocks(std::int64_t columns)
      : columns_(columns), panels_((columns + kPanelColumns - 1) / kPanelColumns, kPanelsAtOnce) {}
  std::int64_t count() const { return panels_.blocks; }
  std::int64_t first(std::int64_t block) const {
    return std::min(columns_, panels_.first(block) * kPanelColumns);
  }
  std::int64_t columns(std::int64_t block) const { return first(block + 1) - first(block); }
  std::int64_t most() const { return std::min(columns_, panels_.largest() * kPanelColumns); }

 private:
  static constexpr std::int64_t kPanelsAtOnce = 4;
  std::int64_t columns_;
  EvenBlocks panels_;
};

// Tiles whose points stay in the second-level cache; beyond 256 channels the weights come from
// memory, and more tiles share one reading of them.
std::int64_t tiles_at_once(std::int64_t channels) {
  return channels <= 128 ? 28 : channels <= 256 ? 56 : 64;
}

struct Sizes {
  ImageBatch source, output;
  std::int64_t pad_h = 0, pad_w = 0;
};

void correlate(Stream& stream, const WinogradTables& tables, const Sizes& sizes,
               std::int64_t images, const float* source, const float* weights, const float* bias,
               bool add, const TileEpilogue* epilogue, float* output) {
  const std::int64_t in = sizes.source.channels, out = sizes.output.channels;
  const WinogradTiles tiles(images, sizes.output.height, sizes.output.width);
  const EvenBlocks blocks(tiles.count(), tiles_at_once(in));
  const ColumnBlocks column_blocks(out);
  const std::int64_t some = column_blocks.most();
  const PointPlanes in_planes(blocks.largest(), in), out_planes(blocks.largest(), some);
  Workspace workspace(stream, Workspace::bytes_of<float>(in_planes.floats()) +
                                  Workspace::bytes_of<float>(out_planes.floats()) +
                                  Workspace::bytes_of<float>(in) +
                                  Workspace::bytes_of<float>(some) + PlainRuns::bytes(in));
  float* const in_points = workspace.take<float>(in_planes.floats());
  float* const out_points = workspace.take<float>(out_planes.floats());
  float* const zeros = workspace.take<float>(in);
  std::fill_n(zeros, in, 0.0f);
  TileReader reader(sizes.source, source, zeros);
  TileWriter writer(sizes.output, output, workspace.take<float>(some));
  GemmProduct product;
  product.streams_b = streams(in, out);
  PlainRuns(workspace, in, 1).use(product);
  product.a_stride = in_planes.row_stride;

  for (std::int64_t block = 0; block < blocks.blocks; ++block) {
    const std::int64_t first = blocks.first(block), end = blocks.first(block + 1);
    for (std::int64_t t = first; t < end; ++t) {
      const auto tile = tiles.tile(t);
      tables.winograd.input(
          reader.read(tile.image, tile.y - sizes.pad_h, tile.x - sizes.pad_w, tile.points_h,
                      tile.points_w),
          {tile.points_h, tile.points_w, in, in_points + (t - first) * in_planes.row_stride,
           in_planes.plane_stride});
    }
    for (std::int64_t i = 0; i < column_blocks.count(); ++i) {
      const std::int64_t column = column_blocks.first(i);
      product.columns = column_blocks.columns(i);
      for (int plane = 0; plane < kWinogradPlanes; ++plane) {
        const auto range = tiles.with_point(plane, first, end);
        const std::int64_t row = range.first - first;
        product.rows = range.count();
        product.a = in_points + plane * in_planes.plane_stride + row * in_planes.row_stride;
        product.b = {weights + (column * kWinogradPlanes + plane * product.columns) * in, 0,
                     kPanelColumns * in};
        product.c = {out_points + plane * out_planes.plane_stride + row * out_planes.row_stride,
                     out_planes.row_stride, kPanelColumns};
        tables.gemm.multiply(product);
      }
      for (std::int64_t t = first; t < end; ++t) {
        const auto tile = tiles.tile(t);
        tables.winograd.output(
            {tile.points_h, tile.points_w, product.columns,
             out_points + (t - first) * out_planes.row_stride, out_planes.plane_stride},
            bias ? bias + column : nullptr, add, writer.places(tile, column));
        if (epilogue != nullptr)
          writer.for_each_row(tile, column, [&](float* row, std::int64_t pixels) {
            epilogue->apply(*epilogue, {row, out}, {row, out}, pixels, product.columns);
          });
      }
    }
  }
}

// Visits the panels of the transformed weights, matrices (terms x columns): the kernel's arguments
// but for tap_stride, the panel's first column and the place of its first point.
template <typename Visit>
void for_each_panel(std::int64_t terms, std::int64_t columns, const Visit& visit) {
  const ColumnBlocks blocks(columns);
  for (std::int64_t i = 0; i < blocks.count(); ++i) {
    const std::int64_t first = blocks.first(i), end = blocks.first(i + 1);
    for (std::int64_t n = first; n < end; n += kPanelColumns) {
      const std::int64_t width = std::min(kPanelColumns, end - n);
      visit(WinogradRows{.rows = terms,
                         .columns = width,
                         .row_stride = width,
                         .point_row_stride = width,
                         .point_stride = terms * (end - first),
                         .streams = streams(terms, columns)},
            n, (first * kWinogradPlanes + n - first) * terms);
    }
  }
}

}  // namespace

// Pads beyond 2 would leave the data gradient with less than none.
bool winograd_suits(const ConvGeometry& g) {
  return !g.direct && g.kernel_h == 3 && g.kernel_w == 3 && g.stride_h == 1 && g.stride_w == 1 &&
         g.dilation_h == 1 && g.dilation_w == 1 && g.groups == 1 && g.pad_h <= 2 && g.pad_w <= 2 &&
         std::min(g.in_c, g.out_c) >= kWinogradFewChannels && g.out_h() > 1 && g.out_w() > 1;
}

std::int64_t winograd_packed_elements(const ConvGeometry& g) {
  return kWinogradPlanes * g.in_c * g.out_c;
}

// packed: for each block of columns, for each point, a matrix (terms x columns) in panels.
void winograd_pack(Stream& stream, const WinogradKernels& kernels, const ConvGeometry& g,
                   bool data_gradient, const float* w, float* packed) {
  const std::int64_t in = g.in_c, out = g.out_c;
  if (!data_gradient) {
    for_each_panel(in, out, [&](WinogradRows rows, std::int64_t column, std::int64_t place) {
      rows.tap_stride = in * rows.columns;
      kernels.weights(rows, w + kTaps * in * column, packed + place);
    });
    return;
  }
  // A panel of input channels at a time, transposed and with the taps in the other order.
  Workspace workspace(stream, Workspace::bytes_of<float>(kTaps * out * kPanelColumns));
  float* const turned = workspace.take<float>(kTaps * out * kPanelColumns);
  for_each_panel(out, in, [&](WinogradRows rows, std::int64_t column, std::int64_t place) {
    rows.tap_stride = out * rows.columns;
    for (std::int64_t tap = 0; tap < kTaps; ++tap) {
      transpose_panels({w, kTaps * in, tap * in + column}, rows.columns, out,
                       {turned + (kTaps - 1 - tap) * rows.tap_stride, out, 0});
    }
    kernels.weights(rows, turned, packed + place);
  });
}

void winograd_forward(Stream& stream, const WinogradTables& tables, const ConvGeometry& g,
                      std::int64_t images, const float* x, const float* packed, const float* bias,
                      const TileEpilogue* epilogue, float* y) {
  correlate(stream, tables,
            {{g.in_h, g.in_w, g.in_c}, {g.out_h(), g.out_w(), g.out_c}, g.pad_h, g.pad_w}, images,
            x, packed, bias, false, epilogue, y);
}

void winograd_backward_data(Stream& stream, const WinogradTables& tables, const ConvGeometry& g,
                            std::int64_t images, const float* dy, const float* packed, bool add,
                            float* dx) {
  correlate(stream, tables,
            {{g.out_h(), g.out_w(), g.out_c}, {g.in_h, g.in_w, g.in_c}, 2 - g.pad_h, 2 - g.pad_w},
            images, dy, packed, nullptr, add, nullptr, dx);
}

}  // namespace lockstep
