#include "kernels/cpu/conv_pixels.h"

#include <algorithm>

#include "kernels/cpu/gemm_runs.h"
#include "kernels/cpu/panels.h"

namespace lockstep {
namespace {

constexpr std::int64_t kFewOutputs = 4, kMostInputs = 64;  // pixels
// Weights that stay in the second-level cache while all pixels pass over them.
constexpr std::int64_t kWeightsAtOnce = 1 << 17;  // floats

// Output o sees input i through tap t where i = o · stride - pad + t · dilation.
struct Axis {
  std::int64_t inputs, outputs, kernel, stride, pad, dilation;

  // Below 0 or beyond the image: outside.
  std::int64_t input(std::int64_t output, std::int64_t tap) const {
    return output * stride - pad + tap * dilation;
  }
  bool inside(std::int64_t input) const { return input >= 0 && input < inputs; }
  // The output that sees this input through this tap; -1: none.
  std::int64_t output(std::int64_t input, std::int64_t tap) const {
    const std::int64_t at = input + pad - tap * dilation;
    return at >= 0 && at % stride == 0 && at / stride < outputs ? at / stride : -1;
  }
  bool sees(std::int64_t tap) const {
    for (std::int64_t o = 0; o < outputs; ++o) {
      if (inside(input(o, tap))) return true;
    }
    return false;
  }
  // All taps that see the image lie within [first, end).
  struct Taps {
    std::int64_t first = 0, end = 0;
    std::int64_t count() const { return end - first; }
  };
  Taps taps() const {
    Taps taps{0, kernel};
    while (taps.end > 0 && !sees(taps.end - 1)) --taps.end;
    while (taps.first < taps.end && !sees(taps.first)) ++taps.first;
    return taps;
  }
};

struct Axes {
  Axis h, w;
  explicit Axes(const ConvGeometry& g)
      : h{g.in_h, g.out_h(), g.kernel_h, g.stride_h, g.pad_h, g.dilation_h},
        w{g.in_w, g.out_w(), g.kernel_w, g.stride_w, g.pad_w, g.dilation_w} {}
  std::int64_t inputs() const { return h.inputs * w.inputs; }
  std::int64_t outputs() const { return h.outputs * w.outputs; }
  std::int64_t taps() const { return h.kernel * w.kernel; }
};

// Pixels of one side, each a product over those of the other side that it sees.
struct Products {
  std::int64_t from_pixels, from_channels, to_pixels, to_channels;
  std::int64_t terms;  // rows of the weights
};

// `for_each_seen(pixel, visit)` calls visit(pixel of the other side, tap's place among the
// weights); weights have rows (tap, channel of the other side).
template <typename ForEachSeen>
void multiply_pixels(Stream& stream, const GemmKernels& kernels, const Products& p,
                     std::int64_t images, const float* from, const float* weights,
                     const float* bias, bool add, const TileEpilogue* epilogue, float* to,
                     const ForEachSeen& for_each_seen) {
  const std::int64_t most_pieces = RunBuilder::pieces_needed(p.from_pixels, p.terms);
  Workspace workspace(stream, Workspace::bytes_of<GemmPiece>(most_pieces) +
                                  Workspace::bytes_of<GemmRun>(runs_of(p.terms)));
  auto* const pieces = workspace.take<GemmPiece>(most_pieces);
  auto* const runs = workspace.take<GemmRun>(runs_of(p.terms));
  const std::int64_t panels = std::max<std::int64_t>(
                         1, kWeightsAtOnce / std::max<std::int64_t>(1, p.terms * kPanelColumns)),
                     some = panels * kPanelColumns;
  for (std::int64_t column = 0; column < p.to_channels; column += some) {
    for (std::int64_t pixel = 0; pixel < p.to_pixels; ++pixel) {
      std::int64_t terms = 0;
      for_each_seen(pixel, [&](std::int64_t, std::int64_t) { terms += p.from_channels; });
      RunBuilder builder(pieces, runs, terms);
      for_each_seen(pixel, [&](std::int64_t seen, std::int64_t tap) {
        builder.append(seen * p.from_channels, tap * p.from_channels, p.from_channels, 1);
      });
      GemmProduct product;
      builder.use(product);
      product.accumulate = add;
      product.streams_b = p.terms * p.to_channels > kWeightsAtOnce;
      product.a = from;
      product.a_stride = p.from_pixels * p.from_channels;
      product.rows = images;
      product.columns = std::min(some, p.to_channels - column);
      product.b = {weights + column * p.terms, 0, kPanelColumns * p.terms};
      product.c = {to + pixel * p.to_channels + column, p.to_pixels * p.to_channels, kPanelColumns};
      product.bias = bias ? bias + column : nullptr;
      product.epilogue = epilogue;
      kernels.multiply(product);
    }
  }
}

}  // namespace

bool pixels_suit(const ConvGeometry& g) {
  return g.groups == 1 && g.out_h() * g.out_w() <= kFewOutputs && g.in_h * g.in_w <= kMostInputs &&
         g.kernel_h * g.kernel_w * g.stride_h * g.stride_w > 1 && pixels_packed_elements(g) > 0;
}

std::int64_t pixels_packed_elements(const ConvGeometry& g) {
  const Axes axes(g);
  return axes.h.taps().count() * axes.w.taps().count() * g.in_c * g.out_c;
}

// packed: a matrix with rows (tap that sees the image, output channel) and columns of input
// channels, in panels.
void pixels_pack(const ConvGeometry& g, const float* w, float* packed) {
  const Axes axes(g);
  const Axis::Taps h = axes.h.taps(), v = axes.w.taps();
  const std::int64_t terms = h.count() * v.count() * g.out_c;
  for (std::int64_t i = 0; i < h.count() * v.count(); ++i) {
    const std::int64_t tap = (h.first + i / v.count()) * g.kernel_w + v.first + i % v.count();
    transpose_panels({w, axes.taps() * g.in_c, tap * g.in_c}, g.in_c, g.out_c,
                     {packed, terms, i * g.out_c});
  }
}

void pixels_forward(Stream& stream, const GemmKernels& kernels, const ConvGeometry& g,
                    std::int64_t images, const float* x, const float* w, const float* bias,
                    const TileEpilogue* epilogue, float* y) {
  const Axes axes(g);
  const auto for_each_seen = [&](std::int64_t pixel, const auto& visit) {
    for (std::int64_t kh = 0; kh < g.kernel_h; ++kh) {
      const std::int64_t ih = axes.h.input(pixel / axes.w.outputs, kh);
      if (!axes.h.inside(ih)) continue;
      for (std::int64_t kw = 0; kw < g.kernel_w; ++kw) {
        const std::int64_t iw = axes.w.input(pixel % axes.w.outputs, kw);
        if (axes.w.inside(iw)) visit(ih * g.in_w + iw, kh * g.kernel_w + kw);
      }
    }
  };
  multiply_pixels(stream, kernels,
                  {axes.inputs(), g.in_c, axes.outputs(), g.out_c, axes.taps() * g.in_c}, images, x,
                  w, bias, false, epilogue, y, for_each_seen);
}

void pixels_backward_data(Stream& stream, const GemmKernels& kernels, const ConvGeometry& g,
                          std::int64_t images, const float* dy, const float* packed, bool add,
                          float* dx) {
  const Axes axes(g);
  const Axis::Taps h = axes.h.taps(), v = axes.w.taps();
  const auto for_each_seen = [&](std::int64_t pixel, const auto& visit) {
    for (std::int64_t kh = h.first; kh < h.end; ++kh) {
      const std::int64_t oh = axes.h.output(pixel / g.in_w, kh);
      if (oh < 0) continue;
      for (std::int64_t kw = v.first; kw < v.end; ++kw) {
        const std::int64_t ow = axes.w.output(pixel % g.in_w, kw);
        if (ow >= 0) visit(oh * axes.w.outputs + ow, (kh - h.first) * v.count() + kw - v.first);
      }
    }
  };
  multiply_pixels(stream, kernels,
                  {axes.outputs(), g.out_c, axes.inputs(), g.in_c, h.count() * v.count() * g.out_c},
                  images, dy, packed, nullptr, add, nullptr, dx, for_each_seen);
}

bool pixels_add_gradient(const ConvGeometry& g, std::int64_t images) {
  return runs_of(images * g.out_h() * g.out_w()) == 1;
}

// One product a tap, over the images and the pixels that see through it; dy stands in panels of
// columns with rows (pixel, image).
void pixels_backward_weights(Stream& stream, const GemmKernels& kernels, const ConvGeometry& g,
                             std::int64_t images, const float* x, const float* dy, bool add,
                             float* dw) {
  const Axes axes(g);
  const std::int64_t out = g.out_c, pixels = axes.outputs(), most_terms = pixels * images;
  const std::int64_t most_pieces = RunBuilder::pieces_needed(pixels, most_terms);
  Workspace workspace(stream, Workspace::bytes_of<float>(most_terms * out) +
                                  Workspace::bytes_of<GemmPiece>(most_pieces) +
                                  Workspace::bytes_of<GemmRun>(runs_of(most_terms)));
  float* const turned = workspace.take<float>(most_terms * out);
  auto* const pieces = workspace.take<GemmPiece>(most_pieces);
  auto* const runs = workspace.take<GemmRun>(runs_of(most_terms));
  const std::int64_t panels = out / kPanelColumns, rest = out % kPanelColumns,
                     panel = kPanelColumns * most_terms;
  for (std::int64_t pixel = 0; pixel < pixels; ++pixel) {
    const float* const from = dy + pixel * out;
    kernels.copy_lines({from, pixels * out, kPanelColumns, turned + pixel * images * kPanelColumns,
                        kPanelColumns, panel, images, panels, kPanelColumns});
    kernels.copy_lines({from + out - rest, pixels * out, 0,
                        turned + panels * panel + pixel * images * rest, rest, 0, images, 1, rest});
  }
  GemmProduct product;
  product.transposed = true;
  product.accumulate = add;
  product.a = x;
  product.a_stride = axes.inputs() * g.in_c;
  product.b = {turned, 0, panel};
  product.rows = g.in_c;
  product.columns = out;
  const std::int64_t rows = axes.taps() * g.in_c;
  for (std::int64_t tap = 0; tap < axes.taps(); ++tap) {
    const auto for_each_seeing = [&](const auto& visit) {
      for (std::int64_t pixel = 0; pixel < pixels; ++pixel) {
        const std::int64_t ih = axes.h.input(pixel / axes.w.outputs, tap / g.kernel_w),
                           iw = axes.w.input(pixel % axes.w.outputs, tap % g.kernel_w);
        if (axes.h.inside(ih) && axes.w.inside(iw)) visit(pixel, ih * g.in_w + iw);
      }
    };
    std::int64_t terms = 0;
    for_each_seeing([&](std::int64_t, std::int64_t) { terms += images; });
    if (add && terms == 0) continue;
    RunBuilder builder(pieces, runs, terms);
    for_each_seeing([&](std::int64_t pixel, std::int64_t seen) {
      builder.append(seen * g.in_c, pixel * images, images, product.a_stride);
    });
    builder.use(product);
    product.c = {dw, 0, kPanelColumns * rows, tap * g.in_c};
    kernels.multiply(product);
  }
}

}  // namespace lockstep
