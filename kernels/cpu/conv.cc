// Convolution, forward and data gradient: for each image, each class of output rows that see the
// same rows of the kernel, and each group, one call of the microkernel. Weights lie in panels of
// columns with rows (kernel_h, kernel_w, channel); the data gradient has a copy of its own.
#include <algorithm>
#include <cstring>

#include "kernels/cpu/backend_impl.h"
#include "kernels/cpu/conv_depthwise.h"
#include "kernels/cpu/conv_pixels.h"
#include "kernels/cpu/conv_spread.h"
#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/panels.h"
#include "kernels/cpu/winograd.h"

namespace lockstep {
namespace {

// Output rows [first, end) of a part, whose taps and therefore runs are the same.
struct RowClass {
  std::int64_t first = 0, end = 0;
  const GemmRun* runs = nullptr;
  std::int64_t run_count = 0;
};

class Correlator {
 public:
  Correlator(const Correlation& c, const SourceColumns& columns, bool add,
             const TileEpilogue* epilogue)
      : c_(c), columns_(columns), add_(add), epilogue_(epilogue) {}

  // Workspace for the classes of one part: the first and the last tap inside change at most once
  // a tap, so there are at most 2 · taps + 1 classes.
  static std::int64_t classes_of(const ConvPart& part) { return 2 * part.h.count + 1; }
  std::int64_t pieces_of_class(const ConvPart& part) const {
    return RunBuilder::pieces_needed(part.h.count * segments_a_row(part), c_.terms(part));
  }
  std::size_t bytes_of(const ConvPart& part) const {
    const std::int64_t classes = classes_of(part);
    return Workspace::bytes_of<RowClass>(classes) +
           Workspace::bytes_of<GemmPiece>(classes * pieces_of_class(part)) +
           Workspace::bytes_of<GemmRun>(classes * runs_of(c_.terms(part)));
  }

  struct Classes {
    const RowClass* classes = nullptr;
    std::int64_t count = 0;
  };
  Classes classify(const ConvPart& part, Workspace& workspace) const {
    const std::int64_t most = classes_of(part), pieces_each = pieces_of_class(part),
                       runs_each = runs_of(c_.terms(part));
    auto* const classes = workspace.take<RowClass>(most);
    auto* const pieces = workspace.take<GemmPiece>(most * pieces_each);
    auto* const runs = workspace.take<GemmRun>(most * runs_each);
    std::int64_t count = 0;
    TapRange last{-1, -1};
    for (std::int64_t q = 0; q < part.h.outputs; ++q) {
      const TapRange taps = taps_inside(part.h, c_.stride_h, c_.source_h, q);
      if (taps == last) {
        classes[count - 1].end = q + 1;
        continue;
      }
      last = taps;
      const std::int64_t terms = (taps.end - taps.first) * part.w.count * c_.group_c();
      GemmRun* const class_runs = runs + count * runs_each;
      RunBuilder builder(pieces + count * pieces_each, class_runs, terms);
      append_taps(part, taps, builder);
      classes[count] = {q, q + 1, class_runs, builder.count()};
      ++count;
    }
    return {classes, count};
  }

  // Some output channels of each group; `first` is a multiple of kPanelColumns.
  struct Columns {
    std::int64_t first = 0, count = 0;
  };
  // One class of output rows, of which there are `steps`.
  void multiply(const GemmKernels& kernels, const ConvPart& part, const RowClass& rows,
                std::int64_t steps, const Columns& some, const float* source, const float* weights,
                const float* bias, float* output) const {
    const std::int64_t group_in = c_.group_c(), group_out = c_.output_c / c_.groups;
    const std::int64_t terms = c_.terms(part), row = columns_.width() * c_.source_c;
    GemmProduct product;
    product.a_stride = c_.stride_w * c_.source_c;
    product.a_step = c_.stride_h * row;
    product.c_step = c_.output_step_h * c_.output_w * c_.output_c;
    product.steps = steps;
    product.rows = part.w.outputs;
    product.columns = some.count;
    product.runs = rows.runs;
    product.run_count = rows.run_count;
    product.accumulate = add_;
    product.epilogue = epilogue_;
    for (std::int64_t group = 0; group < c_.groups; ++group) {
      product.a = source + rows.first * product.a_step + group * group_in;
      product.b = {weights + part.weights_before + (group * group_out + some.first) * terms, 0,
                   kPanelColumns * terms};
      const std::int64_t pixel =
          (part.h.output_first + rows.first * c_.output_step_h) * c_.output_w + part.w.output_first;
      const std::int64_t channel = group * group_out + some.first;
      product.c = {output + pixel * c_.output_c + channel, c_.output_step_w * c_.output_c,
                   kPanelColumns};
      product.bias = bias ? bias + channel : nullptr;
      kernels.multiply(product);
    }
  }

  // Whether all rows of all images are equally far apart and see all taps: then they are one class.
  bool images_are_rows(const Classes& classes) const {
    return !columns_.copied && classes.count == 1 && classes.classes[0].end == c_.output_h &&
           c_.stride_h * c_.output_h == c_.source_h && c_.output_step_h == 1;
  }

 private:
  bool row_is_one_segment(const ConvPart& part) const { return c_.groups == 1 && part.w.step == 1; }
  std::int64_t segments_a_row(const ConvPart& part) const {
    return row_is_one_segment(part) ? 1 : part.w.count;
  }
  void append_taps(const ConvPart& part, const TapRange& taps, RunBuilder& builder) const {
    const std::int64_t channels = c_.group_c(), segments = segments_a_row(part);
    const std::int64_t length = part.w.count * channels / std::max<std::int64_t>(segments, 1);
    for (std::int64_t t = taps.first; t < taps.end; ++t) {
      const std::int64_t row = part.h.first + t * part.h.step;
      for (std::int64_t s = 0; s < segments; ++s) {
        const std::int64_t column = part.w.first + s * part.w.step - columns_.first;
        builder.append((row * columns_.width() + column) * c_.source_c,
                       (t * part.w.count + s) * channels, length, 1);
      }
    }
  }

  const Correlation& c_;
  const SourceColumns& columns_;
  const bool add_;                      // to what the output holds
  const TileEpilogue* const epilogue_;  // may be null
};

// Weights that stay in the second-level cache while all images of a batch pass over them, and the
// copies of images that may be made at once.
constexpr std::int64_t kWeightsAtOnce = 1 << 17, kImagesAtOnce = 1 << 18;  // floats

// `part_at(index, weights_before)` gives the parts in order.
template <typename PartAt>
void correlate(Stream& stream, const GemmKernels& kernels, const Correlation& c,
               std::int64_t part_count, const PartAt& part_at, std::int64_t images,
               const float* source, const float* weights, const float* bias, bool add,
               const TileEpilogue* epilogue, float* output) {
  SourceColumns columns;
  for (std::int64_t i = 0; i < part_count; ++i) columns.include(c, part_at(i, 0));
  columns.finish(c);
  const Correlator correlator(c, columns, add, epilogue);
  const std::int64_t padded_size = c.source_h * columns.width() * c.source_c;
  const std::int64_t some_images =
      std::min(images, std::max<std::int64_t>(1, kImagesAtOnce / padded_size));
  const std::int64_t copies = columns.copied ? some_images : 0;
  std::size_t bytes = Workspace::bytes_of<float>(copies * padded_size) +
                      Workspace::bytes_of<ConvPart>(part_count) +
                      Workspace::bytes_of<Correlator::Classes>(part_count);
  for (std::int64_t i = 0; i < part_count; ++i) bytes += correlator.bytes_of(part_at(i, 0));
  Workspace workspace(stream, bytes);
  float* const padded = workspace.take<float>(copies * padded_size);
  auto* const parts = workspace.take<ConvPart>(part_count);
  auto* const classes = workspace.take<Correlator::Classes>(part_count);
  std::int64_t terms = 0;
  bool some_are_zero = false;  // outputs that no tap reaches: phases of a stride beyond the kernel
  for (std::int64_t i = 0; i < part_count; ++i) {
    parts[i] = part_at(i, terms * c.output_c);
    terms += c.terms(parts[i]);
    if (c.terms(parts[i]) == 0) {
      some_are_zero = true;
      classes[i] = {};
    } else {
      classes[i] = correlator.classify(parts[i], workspace);
    }
  }
  const std::int64_t output_size = c.output_h * c.output_w * c.output_c;
  const std::int64_t group_out = c.output_c / c.groups;
  if (part_count == 1 && correlator.images_are_rows(classes[0])) {
    correlator.multiply(kernels, parts[0], classes[0].classes[0], images * c.output_h,
                        {0, group_out}, source, weights, bias, output);
    return;
  }
  const std::int64_t panels =
      std::max<std::int64_t>(1, kWeightsAtOnce / std::max<std::int64_t>(1, terms * kPanelColumns));
  const PaddedImages copier(padded, copies, c.source_h, c.source_w, c.source_c, columns);
  for (std::int64_t first = 0; first < images; first += some_images) {
    const std::int64_t count = std::min(some_images, images - first);
    const float* from = source + first * padded_size;
    if (columns.copied) {
      for (std::int64_t i = 0; i < count; ++i) {
        copier.copy(kernels, i, source + (first + i) * c.source_h * c.source_w * c.source_c);
      }
      from = padded;
    }
    float* const to = output + first * output_size;
    for (std::int64_t column = 0; column < group_out; column += panels * kPanelColumns) {
      const Correlator::Columns some{column, std::min(panels * kPanelColumns, group_out - column)};
      for (std::int64_t image = 0; image < count; ++image) {
        if (some_are_zero && column == 0 && !add) {
          std::memset(to + image * output_size, 0,
                      static_cast<std::size_t>(output_size) * sizeof(float));
        }
        for (std::int64_t i = 0; i < part_count; ++i) {
          for (std::int64_t k = 0; k < classes[i].count; ++k) {
            const RowClass& rows = classes[i].classes[k];
            correlator.multiply(kernels, parts[i], rows, rows.end - rows.first, some,
                                from + image * padded_size, weights, bias,
                                to + image * output_size);
          }
        }
      }
    }
  }
}

// The forward pass for few channels, see conv_spread.h.
void forward_by_spread_images(Stream& stream, const GemmKernels& kernels, const ConvGeometry& g,
                              std::int64_t images, const float* x, const float* w,
                              const float* bias, const TileEpilogue* epilogue, float* y) {
  const SpreadImages spread(g);
  // The padded image itself serves where lines are shifted ones of their neighbours.
  const std::int64_t rows = spread.shifts() ? 0 : spread.rows_of(g.out_h());
  const std::int64_t row = spread.shifts() ? spread.padded_row() : spread.row();
  const std::int64_t line = spread.shifts() ? g.dilation_w : spread.line();
  const std::int64_t terms = g.kernel_h * g.kernel_w * g.in_c, out_w = g.out_w();
  const std::int64_t pieces = RunBuilder::pieces_needed(g.kernel_h, terms);
  Workspace workspace(stream, Workspace::bytes_of<float>(spread.padded()) +
                                  Workspace::bytes_of<float>(rows * row) +
                                  Workspace::bytes_of<GemmPiece>(pieces) +
                                  Workspace::bytes_of<GemmRun>(runs_of(terms)));
  float* const padded = workspace.take<float>(spread.padded());
  float* const image = rows == 0 ? padded : workspace.take<float>(rows * row);
  auto* const piece_memory = workspace.take<GemmPiece>(pieces);
  RunBuilder builder(piece_memory, workspace.take<GemmRun>(runs_of(terms)), terms);
  for (std::int64_t kh = 0; kh < g.kernel_h; ++kh) {
    builder.append(kh * row, kh * spread.lines(), spread.lines(), line);
  }
  spread.clear(padded);
  GemmProduct product;
  builder.use(product);
  product.a = image;
  product.a_stride = line;
  product.a_step = g.stride_h * row;
  product.transposed = true;
  product.b = {w, 0, kPanelColumns * terms};
  product.c_step = out_w * g.out_c;
  product.bias = bias;
  product.epilogue = epilogue;
  product.steps = g.out_h();
  product.rows = out_w;
  product.columns = g.out_c;
  for (std::int64_t i = 0; i < images; ++i) {
    spread.pad(kernels, x + i * g.in_h * g.in_w * g.in_c, padded);
    if (rows > 0) spread.spread(kernels, padded, 0, rows, image);
    product.c = {y + i * g.out_h() * product.c_step, g.out_c, kPanelColumns};
    kernels.multiply(product);
  }
}

}  // namespace

std::int64_t CpuBackend::conv_packed_elements(const ConvGeometry& g, bool data_gradient) {
  if (pixels_suit(g)) return data_gradient ? pixels_packed_elements(g) : 0;
  if (winograd_suits(g)) return winograd_packed_elements(g);
  return data_gradient && !is_depthwise(g) ? g.weight_elements() : 0;
}

// packed: for each part of the data gradient, each group, the matrix with rows (tap_h, tap_w,
// output channel) and columns of input channels, in panels.
void CpuBackend::conv_pack(Stream& stream, const ConvGeometry& g, bool data_gradient,
                           const Tensor& w, Tensor& packed) {
  const std::int64_t elements = conv_packed_elements(g, data_gradient);
  if (elements == 0) return;
  check_geometry(g);
  check_conv_elements("w", w, g.weight_elements());
  check_conv_elements("packed", packed, elements);
  if (pixels_suit(g)) {
    pixels_pack(g, w.data<float>(), packed.data<float>());
    return;
  }
  if (winograd_suits(g)) {
    winograd_pack(stream, winograd_, g, data_gradient, w.data<float>(), packed.data<float>());
    return;
  }
  const Correlation c = data_correlation(g);
  const std::int64_t in = g.in_c / g.groups, out = g.out_c / g.groups;
  const std::int64_t forward_terms = g.kernel_h * g.kernel_w * in;
  float* to = packed.data<float>();
  for (std::int64_t i = 0; i < data_parts(g); ++i) {
    const ConvPart part = data_part(g, i, 0);
    for (std::int64_t group = 0; group < g.groups; ++group) {
      const float* const from = w.data<float>() + group * forward_terms * out;
      for (std::int64_t t = 0; t < part.h.count; ++t) {
        for (std::int64_t s = 0; s < part.w.count; ++s) {
          const std::int64_t kh = part.h.kernel_first + t * part.h.kernel_step;
          const std::int64_t kw = part.w.kernel_first + s * part.w.kernel_step;
          transpose_panels({from, forward_terms, (kh * g.kernel_w + kw) * in}, in, out,
                           {to, c.terms(part), (t * part.w.count + s) * out});
        }
      }
      to += c.terms(part) * in;
    }
  }
}

void CpuBackend::conv_forward(Stream& stream, const ConvGeometry& g, const Tensor& x,
                              const Tensor& w, const Tensor& packed, const Tensor& bias,
                              Tensor& y) {
  conv_forward(stream, g, x, w, packed, bias, nullptr, y);
}

void CpuBackend::conv_inference(Stream& stream, const ConvGeometry& g, const Tensor& x,
                                const Tensor& w, const Tensor& packed, const Tensor& bias,
                                const Epilogue& epilogue, Tensor& y) {
  const cpu::OutputEpilogue applied(vector_, epilogue, y);
  conv_forward(stream, g, x, w, packed, bias, &applied.tile(), y);
}

void CpuBackend::conv_forward(Stream& stream, const ConvGeometry& g, const Tensor& x,
                              const Tensor& w, const Tensor& packed, const Tensor& bias,
                              const TileEpilogue* epilogue, Tensor& y) {
  check_geometry(g);
  check_images("x", x, g.in_h, g.in_w, g.in_c);
  check_conv_elements("w", w, g.weight_elements());
  if (bias) check_conv_elements("bias", bias, g.out_c);
  check_images("y", y, g.out_h(), g.out_w(), g.out_c);
  LOCKSTEP_CHECK(x.rows() == y.rows(), "conv: {} and {} images", x.rows(), y.rows());
  const float* const b = bias ? bias.data<float>() : nullptr;
  if (pixels_suit(g)) {
    pixels_forward(stream, products_, g, x.rows(), x.data<float>(), w.data<float>(), b, epilogue,
                   y.data<float>());
    return;
  }
  if (winograd_suits(g)) {
    check_conv_elements("packed", packed, winograd_packed_elements(g));
    winograd_forward(stream, {gemm_, winograd_}, g, x.rows(), x.data<float>(), packed.data<float>(),
                     b, epilogue, y.data<float>());
    return;
  }
  if (is_depthwise(g)) {
    depthwise_forward(stream, depthwise_, g, x.rows(), x.data<float>(), w.data<float>(), b,
                      epilogue, y.data<float>());
    return;
  }
  if (SpreadImages::suits(g)) {
    forward_by_spread_images(stream, products_, g, x.rows(), x.data<float>(), w.data<float>(), b,
                             epilogue, y.data<float>());
    return;
  }
  correlate(
      stream, products_, forward_correlation(g), 1,
      [&](std::int64_t, std::int64_t) { return forward_part(g); }, x.rows(), x.data<float>(),
      w.data<float>(), b, false, epilogue, y.data<float>());
}

void CpuBackend::conv_backward_data(Stream& stream, const ConvGeometry& g, const Tensor& dy,
                                    const Tensor& w, const Tensor& packed, bool add, Tensor& dx) {
  check_geometry(g);
  check_images("dy", dy, g.out_h(), g.out_w(), g.out_c);
  check_images("dx", dx, g.in_h, g.in_w, g.in_c);
  LOCKSTEP_CHECK(dx.rows() == dy.rows(), "conv: {} and {} images", dx.rows(), dy.rows());
  if (is_depthwise(g)) {
    check_conv_elements("w", w, g.weight_elements());
    depthwise_backward_data(stream, depthwise_, g, dy.rows(), dy.data<float>(), w.data<float>(),
                            add, dx.data<float>());
    return;
  }
  check_conv_elements("packed", packed, conv_packed_elements(g, true));
  if (pixels_suit(g)) {
    pixels_backward_data(stream, products_, g, dy.rows(), dy.data<float>(), packed.data<float>(),
                         add, dx.data<float>());
    return;
  }
  if (winograd_suits(g)) {
    winograd_backward_data(stream, {gemm_, winograd_}, g, dy.rows(), dy.data<float>(),
                           packed.data<float>(), add, dx.data<float>());
    return;
  }
  correlate(
      stream, products_, data_correlation(g), data_parts(g),
      [&](std::int64_t i, std::int64_t before) { return data_part(g, i, before); }, dy.rows(),
      dy.data<float>(), packed.data<float>(), nullptr, add, nullptr, dx.data<float>());
}

}  // namespace lockstep
