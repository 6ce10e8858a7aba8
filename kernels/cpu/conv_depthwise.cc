// Depthwise convolutions as calls of the vector kernels, a row of outputs each: outputs of the row
// that see the same taps go together. The data gradient is one correlation a phase of the stride.
#include "kernels/cpu/conv_depthwise.h"

#include <algorithm>

#include "kernels/cpu/conv_plan.h"

namespace lockstep {
namespace {

// Outputs [first, end) of a row that see the same columns of the kernel.
struct ColumnClass {
  std::int64_t first = 0, end = 0;
  TapRange taps;
};

// The columns of one part, and its way over the images.
class Correlator {
 public:
  Correlator(const ConvGeometry& g, const Correlation& c, const ConvPart& part)
      : c_(c), part_(part), kernel_w_(g.kernel_w) {}

  static std::int64_t most_classes(const ConvPart& part) { return 2 * part.w.count + 1; }
  static std::size_t bytes(const ConvPart& part) {
    return Workspace::bytes_of<ColumnClass>(most_classes(part)) +
           Workspace::bytes_of<DepthwiseTap>(part.h.count * part.w.count);
  }

  void run(const DepthwiseKernels& kernels, Workspace& workspace, std::int64_t images,
           const float* source, const float* w, const float* bias, bool add,
           const TileEpilogue* epilogue, float* output) const {
    auto* const classes = workspace.take<ColumnClass>(most_classes(part_));
    auto* const taps = workspace.take<DepthwiseTap>(part_.h.count * part_.w.count);
    const std::int64_t count = classify(classes);
    const std::int64_t channels = c_.source_c;
    DepthwiseRow row;
    row.taps = taps;
    row.channels = channels;
    row.x_step = c_.stride_w * channels;
    row.y_step = c_.output_step_w * channels;
    row.bias = bias;
    row.add = add;
    for (std::int64_t image = 0; image < images; ++image) {
      const float* const from = source + image * c_.source_h * c_.source_w * channels;
      float* const to = output + image * c_.output_h * c_.output_w * channels;
      for (std::int64_t q = 0; q < part_.h.outputs; ++q) {
        const TapRange rows = taps_inside(part_.h, c_.stride_h, c_.source_h, q);
        const std::int64_t output_row = part_.h.output_first + q * c_.output_step_h;
        for (std::int64_t i = 0; i < count; ++i) {
          const ColumnClass& some = classes[i];
          row.tap_count = list_taps(rows, some, q, from, w, taps);
          row.outputs = some.end - some.first;
          const std::int64_t column = part_.w.output_first + some.first * c_.output_step_w;
          row.y = to + (output_row * c_.output_w + column) * channels;
          kernels.row(row);
        }
        if (epilogue == nullptr) continue;
        float* const written = to + output_row * c_.output_w * channels;
        epilogue->apply(*epilogue, {written, channels}, {written, channels}, c_.output_w, channels);
      }
    }
  }

 private:
  std::int64_t classify(ColumnClass* classes) const {
    std::int64_t count = 0;
    for (std::int64_t q = 0; q < part_.w.outputs; ++q) {
      const TapRange taps = taps_inside(part_.w, c_.stride_w, c_.source_w, q);
      if (count > 0 && classes[count - 1].taps == taps) {
        classes[count - 1].end = q + 1;
      } else {
        classes[count++] = {q, q + 1, taps};
      }
    }
    return count;
  }

  // Of the row of outputs q, for the first output of a class.
  std::int64_t list_taps(const TapRange& rows, const ColumnClass& some, std::int64_t q,
                         const float* source, const float* w, DepthwiseTap* taps) const {
    const std::int64_t channels = c_.source_c;
    std::int64_t count = 0;
    for (std::int64_t t = rows.first; t < rows.end; ++t) {
      const std::int64_t y = c_.stride_h * q + part_.h.first + t * part_.h.step;
      const std::int64_t kh = part_.h.kernel_first + t * part_.h.kernel_step;
      for (std::int64_t s = some.taps.first; s < some.taps.end; ++s) {
        const std::int64_t x = c_.stride_w * some.first + part_.w.first + s * part_.w.step;
        const std::int64_t kw = part_.w.kernel_first + s * part_.w.kernel_step;
        taps[count++] = {source + (y * c_.source_w + x) * channels,
                         w + (kh * kernel_w_ + kw) * channels};
      }
    }
    return count;
  }

  const Correlation& c_;
  const ConvPart& part_;
  const std::int64_t kernel_w_;
};

// The gradient of the weights: a run is a row of outputs, or an even part of a long one.
class WeightGradient {
 public:
  WeightGradient(const DepthwiseKernels& kernels, const ConvGeometry& g)
      : kernels_(kernels),
        g_(g),
        w_(forward_part(g).w),
        // Small kernels go as a whole, larger ones row by row.
        rows_at_once_(
            std::max<std::int64_t>(1, std::min(g.kernel_h, kDepthwiseGradientTaps / g.kernel_w))),
        runs_(runs_of(g.out_w())) {}

  void run(std::int64_t images, const float* x, const float* dy, float* dw) const {
    const std::int64_t channels = g_.in_c, out_h = g_.out_h(), out_w = g_.out_w();
    std::fill_n(dw, g_.kernel_h * g_.kernel_w * channels, 0.0f);
    for (std::int64_t image = 0; image < images; ++image) {
      const float* const from = x + image * g_.in_h * g_.in_w * channels;
      for (std::int64_t oh = 0; oh < out_h; ++oh) {
        const float* const row = dy + (image * out_h + oh) * out_w * channels;
        for (std::int64_t kh = 0; kh < g_.kernel_h; kh += rows_at_once_) {
          for (std::int64_t r = 0; r < runs_; ++r) {
            add_run(from, oh, kh, {out_w * r / runs_, out_w * (r + 1) / runs_}, row, dw);
          }
        }
      }
    }
  }

 private:
  struct Outputs {
    std::int64_t first, end;
  };

  // The kernel's rows from kh on, over some outputs of row oh.
  void add_run(const float* image, std::int64_t oh, std::int64_t kh, const Outputs& outputs,
               const float* dy, float* dw) const {
    const std::int64_t channels = g_.in_c;
    DepthwiseGradientTap taps[kDepthwiseGradientTaps];
    DepthwiseGradientRow row;
    row.taps = taps;
    row.x_step = g_.stride_w * channels;
    row.dy_step = channels;
    row.channels = channels;
    row.dy = dy;
    for (std::int64_t k = kh; k < std::min(kh + rows_at_once_, g_.kernel_h); ++k) {
      const std::int64_t y = oh * g_.stride_h - g_.pad_h + k * g_.dilation_h;
      if (y < 0 || y >= g_.in_h) continue;
      for (std::int64_t s = 0; s < g_.kernel_w; ++s) {
        const std::int64_t at = w_.first + s * w_.step;  // the pixel that output 0 reads
        const std::int64_t first = at >= 0 ? 0 : (-at + g_.stride_w - 1) / g_.stride_w;
        const std::int64_t end = at >= g_.in_w ? 0 : (g_.in_w - at + g_.stride_w - 1) / g_.stride_w;
        DepthwiseGradientTap tap;
        tap.first = std::max(outputs.first, first);
        tap.end = std::min(outputs.end, end);
        if (tap.first >= tap.end) continue;
        tap.x = image + (y * g_.in_w + at) * channels;
        tap.dw = dw + (k * g_.kernel_w + s) * channels;
        taps[row.tap_count++] = tap;
        if (row.tap_count < kDepthwiseGradientTaps) continue;
        kernels_.gradient_row(row);
        row.tap_count = 0;
      }
    }
    if (row.tap_count > 0) kernels_.gradient_row(row);
  }

  const DepthwiseKernels& kernels_;
  const ConvGeometry& g_;
  const TapAxis w_;
  const std::int64_t rows_at_once_, runs_;
};

}  // namespace

void depthwise_forward(Stream& stream, const DepthwiseKernels& kernels, const ConvGeometry& g,
                       std::int64_t images, const float* x, const float* w, const float* bias,
                       const TileEpilogue* epilogue, float* y) {
  const Correlation c = forward_correlation(g);
  const ConvPart part = forward_part(g);
  Workspace workspace(stream, Correlator::bytes(part));
  Correlator(g, c, part).run(kernels, workspace, images, x, w, bias, false, epilogue, y);
}

void depthwise_backward_data(Stream& stream, const DepthwiseKernels& kernels, const ConvGeometry& g,
                             std::int64_t images, const float* dy, const float* w, bool add,
                             float* dx) {
  const Correlation c = data_correlation(g);
  for (std::int64_t i = 0; i < data_parts(g); ++i) {
    const ConvPart part = data_part(g, i, 0);
    Workspace workspace(stream, Correlator::bytes(part));
    Correlator(g, c, part).run(kernels, workspace, images, dy, w, nullptr, add, nullptr, dx);
  }
}

void depthwise_backward_weights(Stream&, const DepthwiseKernels& kernels, const ConvGeometry& g,
                                std::int64_t images, const float* x, const float* dy, float* dw) {
  WeightGradient(kernels, g).run(images, x, dy, dw);
}

}  // namespace lockstep
