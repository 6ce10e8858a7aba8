// Weight and bias gradients of convolutions: dw (kernel_h, kernel_w, channel | output channel) is
// the sum over all output pixels of x times dy. Output rows of the whole batch are taken in groups
// of kFewPixelsOfGroup to kPixelsOfGroup pixels, few enough that the group's part of x and dy stays
// in the second-level cache while all rows of the kernel pass over it.
#include <algorithm>
#include <cstring>

#include "kernels/cpu/backend_impl.h"
#include "kernels/cpu/conv_depthwise.h"
#include "kernels/cpu/conv_pixels.h"
#include "kernels/cpu/conv_spread.h"
#include "kernels/cpu/conv_weights.h"
#include "kernels/cpu/winograd.h"

namespace lockstep {
namespace {

constexpr std::int64_t kPixelsOfGroup = 1024, kFewPixelsOfGroup = 256;
constexpr std::int64_t kFloatsOfGroup = 1 << 18;  // of dy

struct Task {
  const GemmKernels& kernels;
  const ConvGeometry& g;
  std::int64_t images;
  const float* x;
  const float* dy;
  float* dw;
  float* dbias;  // may be missing
  std::int64_t out_h = g.out_h(), out_w = g.out_w();

  const float* image(std::int64_t index) const { return x + index * g.in_h * g.in_w * g.in_c; }
  std::int64_t rows() const { return images * out_h; }  // output rows of the batch
  std::int64_t group_rows() const {                     // whole images where they are small
    const std::int64_t pixels =
        std::clamp(kFloatsOfGroup / g.out_c, kFewPixelsOfGroup, kPixelsOfGroup);
    const std::int64_t some = (pixels + out_w - 1) / out_w;
    return std::min(rows(), some > out_h ? some / out_h * out_h : some);
  }
  // Most images that a group of rows touches.
  std::int64_t slots() const { return std::min(images, (group_rows() + out_h - 2) / out_h + 1); }
};

// The groups of output rows in order; copies of images that a group needs stand in slots, image i
// in slot i mod slots.
class RowGroups {
 public:
  RowGroups(const Task& task, std::int64_t slots) : task_(task), slots_(slots) {}

  std::int64_t first() const { return first_; }  // row of the batch
  std::int64_t pixel() const { return first_ * task_.out_w; }
  bool done() const { return first_ >= task_.rows(); }
  void next() { first_ = end(); }
  // Calls copy(image, slot) for images that no earlier group has asked for.
  template <typename Copy>
  void copy_images(const Copy& copy) {
    for (; copied_ * task_.out_h < end(); ++copied_) copy(copied_, copied_ % slots_);
  }
  // Calls visit(slot, row of the image, row of the group) for the rows of the group.
  template <typename Visit>
  void for_each_row(const Visit& visit) const {
    std::int64_t row = first_, row_of_image = first_ % task_.out_h;
    for (std::int64_t image = first_ / task_.out_h; row < end(); ++image, row_of_image = 0) {
      const std::int64_t slot = image % slots_;
      const std::int64_t image_end = std::min(end(), row - row_of_image + task_.out_h);
      for (; row < image_end; ++row, ++row_of_image) visit(slot, row_of_image, row - first_);
    }
  }
  std::int64_t count() const { return end() - first_; }

 private:
  std::int64_t end() const { return std::min(task_.rows(), first_ + task_.group_rows()); }

  const Task& task_;
  const std::int64_t slots_;
  std::int64_t first_ = 0, copied_ = 0;
};

// Room for the runs of one product, used again for each.
class RunMemory {
 public:
  static std::size_t bytes(const Task& task) {
    return Workspace::bytes_of<GemmPiece>(pieces(task)) +
           Workspace::bytes_of<GemmRun>(runs_of(terms(task)));
  }
  RunMemory(const Task& task, Workspace& workspace)
      : pieces_(workspace.take<GemmPiece>(pieces(task))),
        runs_(workspace.take<GemmRun>(runs_of(terms(task)))) {}
  RunBuilder builder(std::int64_t terms) const { return {pieces_, runs_, terms}; }

 private:
  static std::int64_t terms(const Task& task) { return task.group_rows() * task.out_w; }
  static std::int64_t pieces(const Task& task) {
    return RunBuilder::pieces_needed(task.group_rows(), terms(task));
  }
  GemmPiece* pieces_;
  GemmRun* runs_;
};

// Floats so far apart that they share few places of the first-level cache: pixels of as many
// channels are read from dense copies where enough products read them again.
constexpr std::int64_t kFar = 128, kManyRows = 256, kManyColumns = 256;

// A group's part of dy, in panels of columns where that pays; and its sums.
class OutputPanels {
 public:
  OutputPanels(const Task& task, std::int64_t most_pixels)
      : task_(task),
        copied_(task.g.groups == 1 && task.g.out_c >= kFar &&
                task.g.kernel_h * task.g.kernel_w * task.g.in_c >= kManyRows),
        floats_(copied_ ? most_pixels * task.g.out_c : 0) {}

  std::int64_t floats() const { return floats_; }
  void use(float* memory) { memory_ = memory; }
  void load(std::int64_t pixel, std::int64_t pixels) {
    const std::int64_t out = task_.g.out_c;
    dy_ = task_.dy + pixel * out;
    pixels_ = pixels;
    if (!copied_) return;
    // Whole panels pixel by pixel, as dy lies in memory, then what the last one holds of each.
    const std::int64_t panels = out / kPanelColumns, rest = out % kPanelColumns;
    const std::int64_t panel = kPanelColumns * pixels;
    task_.kernels.copy_lines(
        {dy_, out, kPanelColumns, memory_, kPanelColumns, panel, pixels, panels, kPanelColumns});
    task_.kernels.copy_lines(
        {dy_ + out - rest, out, 0, memory_ + panels * panel, rest, 0, pixels, 1, rest});
  }
  // To dbias, while dy is near.
  void sum(bool add) const {
    const std::int64_t out = task_.g.out_c, width = copied_ ? kPanelColumns : out;
    if (!task_.dbias) return;
    for (std::int64_t n = 0; n < out; n += width) {
      task_.kernels.column_sums(copied_ ? memory_ + n * pixels_ : dy_, pixels_,
                                std::min(width, out - n), add, task_.dbias + n);
    }
  }
  ColumnPanels<const float> group(std::int64_t index) const {
    if (copied_) return {memory_, 0, kPanelColumns * pixels_};
    const std::int64_t out = task_.g.out_c;
    return {dy_ + index * (out / task_.g.groups), out, kPanelColumns};
  }

 private:
  const Task& task_;
  bool copied_;
  std::int64_t floats_, pixels_ = 0;
  const float* dy_ = nullptr;
  float* memory_ = nullptr;
};

// The usual form: rows of dw for one kernel row are neighbouring floats of a row of the image, so x
// is read where it lies (or in a copy with zero columns around it), transposed. Where pixels are
// far apart, no two taps of a row share them, and there are many columns, some rows of dw at a time
// are read from a dense copy.
class KernelRows {
 public:
  explicit KernelRows(const Task& task) : task_(task), g_(task.g) {
    columns_.include(forward_correlation(g_), forward_part(g_));
    columns_.finish(forward_correlation(g_));
    row_ = columns_.width() * g_.in_c;
    image_ = g_.in_h * row_;
    merged_ = g_.groups == 1 && g_.dilation_w == 1;
    rows_ = (merged_ ? g_.kernel_w : 1) * g_.in_c / g_.groups;
    dense_ = g_.groups == 1 && pixel_step() >= kFar && g_.out_c >= kManyColumns && g_.kernel_w == 1;
    const std::int64_t blocks = dense_ ? (rows_ + kRowsOfBlock - 1) / kRowsOfBlock : 1;
    some_rows_ = (rows_ + blocks - 1) / blocks;
  }

  void run(Stream& stream) const {
    const std::int64_t slots = columns_.copied ? task_.slots() : 0;
    const std::int64_t most_pixels = task_.group_rows() * task_.out_w;
    const std::int64_t block = dense_ ? most_pixels * some_rows_ : 0;
    OutputPanels outputs(task_, most_pixels);
    Workspace workspace(stream, Workspace::bytes_of<float>(slots * image_) +
                                    Workspace::bytes_of<float>(outputs.floats()) +
                                    Workspace::bytes_of<float>(block) + RunMemory::bytes(task_));
    float* const copies = workspace.take<float>(slots * image_);
    outputs.use(workspace.take<float>(outputs.floats()));
    const Memory memory{columns_.copied ? copies : task_.x, workspace.take<float>(block),
                        RunMemory(task_, workspace)};
    const PaddedImages copier(copies, slots, g_.in_h, g_.in_w, g_.in_c, columns_);
    for (RowGroups rows(task_, columns_.copied ? slots : task_.images); !rows.done(); rows.next()) {
      if (columns_.copied) {
        rows.copy_images([&](std::int64_t image, std::int64_t slot) {
          copier.copy(task_.kernels, slot, task_.image(image));
        });
      }
      outputs.load(rows.pixel(), rows.count() * task_.out_w);
      for (std::int64_t kh = 0; kh < g_.kernel_h; ++kh) multiply(rows, kh, outputs, memory);
      outputs.sum(rows.first() > 0);
    }
  }

 private:
  static constexpr std::int64_t kRowsOfBlock = 112;

  struct Memory {
    const float* source;
    float* block;  // (pixel, some_rows_)
    RunMemory runs;
  };

  std::int64_t pixel_step() const { return g_.stride_w * g_.in_c; }

  void multiply(const RowGroups& rows, std::int64_t kh, const OutputPanels& outputs,
                const Memory& memory) const {
    const std::int64_t out_w = task_.out_w;
    const std::int64_t shift = kh * g_.dilation_h - g_.pad_h;  // from output row to source row
    // Calls visit(offset of the source row, row of the group) for output rows that see the image.
    const auto for_each_row_inside = [&](const auto& visit) {
      rows.for_each_row([&](std::int64_t slot, std::int64_t oh, std::int64_t row) {
        const std::int64_t source_row = oh * g_.stride_h + shift;
        if (source_row >= 0 && source_row < g_.in_h) visit(slot * image_ + source_row * row_, row);
      });
    };
    std::int64_t terms = 0;
    for_each_row_inside([&](std::int64_t, std::int64_t) { terms += out_w; });
    GemmProduct product;
    product.accumulate = rows.first() > 0;
    if (terms == 0 && product.accumulate) return;
    product.transposed = true;
    product.a_stride = dense_ ? some_rows_ : pixel_step();
    RunBuilder builder = memory.runs.builder(terms);
    std::int64_t term = 0;
    for_each_row_inside([&](std::int64_t offset, std::int64_t row) {
      builder.append(dense_ ? term * some_rows_ : offset, row * out_w, out_w, product.a_stride);
      term += out_w;
    });
    builder.use(product);
    const std::int64_t in = g_.in_c / g_.groups, out = g_.out_c / g_.groups;
    const std::int64_t terms_of_group = g_.kernel_h * g_.kernel_w * in;
    product.columns = out;
    for (std::int64_t group = 0; group < g_.groups; ++group) {
      product.b = outputs.group(group);
      for (std::int64_t kw = 0; kw < (merged_ ? 1 : g_.kernel_w); ++kw) {
        const std::int64_t column = kw * g_.dilation_w - g_.pad_w - columns_.first;
        const float* const source = memory.source + column * g_.in_c + group * in;
        for (std::int64_t first = 0; first < rows_; first += some_rows_) {
          product.rows = std::min(some_rows_, rows_ - first);
          product.a = source + first;
          product.c = {task_.dw + group * terms_of_group * out, 0, kPanelColumns * terms_of_group,
                       (kh * g_.kernel_w + kw) * in + first};
          if (dense_) {
            product.a = memory.block;
            float* to = memory.block;
            for_each_row_inside([&](std::int64_t offset, std::int64_t) {
              task_.kernels.copy_lines({source + first + offset, pixel_step(), 0, to, some_rows_, 0,
                                        out_w, 1, product.rows});
              to += out_w * some_rows_;
            });
          }
          task_.kernels.multiply(product);
        }
      }
    }
  }

  const Task& task_;
  const ConvGeometry& g_;
  SourceColumns columns_;
  std::int64_t row_ = 0, image_ = 0;  // floats
  bool merged_ = false;               // taps of a row are neighbours: one product
  bool dense_ = false;
  std::int64_t rows_ = 0, some_rows_ = 0;  // of dw, a product
};

// The form for few channels, see conv_spread.h: all rows of dw are one product. Groups are some
// whole images or some rows of one, so small that their part of x and dy stays in the first-level
// cache.
constexpr std::int64_t kPixelsOfSpreadGroup = 448;

void weights_by_spread_images(Stream& stream, const Task& task) {
  const ConvGeometry& g = task.g;
  const SpreadImages spread(g);
  const std::int64_t parts =
      (task.out_h * task.out_w + kPixelsOfSpreadGroup - 1) / kPixelsOfSpreadGroup;
  const std::int64_t some_rows = (task.out_h + parts - 1) / parts;
  const std::int64_t some_images = std::min(
      task.images, std::max<std::int64_t>(1, kPixelsOfSpreadGroup / (task.out_h * task.out_w)));
  const std::int64_t most_terms = some_images * some_rows * task.out_w;
  const std::int64_t pieces = RunBuilder::pieces_needed(some_images * some_rows, most_terms);
  const std::int64_t slot = spread.rows_of(some_rows) * spread.row();
  Workspace workspace(stream, Workspace::bytes_of<float>(some_images * slot) +
                                  Workspace::bytes_of<float>(spread.padded()) +
                                  Workspace::bytes_of<GemmPiece>(pieces) +
                                  Workspace::bytes_of<GemmRun>(runs_of(most_terms)));
  float* const slots = workspace.take<float>(some_images * slot);
  float* const padded = workspace.take<float>(spread.padded());
  auto* const piece_memory = workspace.take<GemmPiece>(pieces);
  auto* const run_memory = workspace.take<GemmRun>(runs_of(most_terms));
  spread.clear(padded);
  GemmProduct product;
  product.a = slots;
  product.a_stride = spread.line();
  product.rows = g.kernel_h * g.kernel_w * g.in_c;
  product.columns = g.out_c;
  product.c = {task.dw, 0, kPanelColumns * product.rows};
  for (std::int64_t first = 0; first < task.images; first += some_images) {
    const std::int64_t images = std::min(some_images, task.images - first);
    for (std::int64_t row = 0; row < task.out_h; row += some_rows) {
      const std::int64_t rows = std::min(some_rows, task.out_h - row);
      const std::int64_t terms = images * rows * task.out_w;
      RunBuilder builder(piece_memory, run_memory, terms);
      for (std::int64_t i = 0; i < images; ++i) {
        if (row == 0) spread.pad(task.kernels, task.image(first + i), padded);
        spread.spread(task.kernels, padded, row * g.stride_h, spread.rows_of(rows),
                      slots + i * slot);
        for (std::int64_t r = 0; r < rows; ++r) {
          builder.append(i * slot + r * g.stride_h * spread.row(), (i * rows + r) * task.out_w,
                         task.out_w, 1);
        }
      }
      builder.use(product);
      const float* const dy = task.dy + (first * task.out_h + row) * task.out_w * g.out_c;
      product.b = {dy, g.out_c, kPanelColumns};
      product.accumulate = first > 0 || row > 0;
      task.kernels.multiply(product);
      if (!task.dbias) continue;
      task.kernels.column_sums(dy, terms, g.out_c, product.accumulate, task.dbias);
    }
  }
}

}  // namespace

void pointwise_backward_weights(Stream& stream, const GemmKernels& kernels, std::int64_t rows,
                                std::int64_t in, std::int64_t out, const float* x, const float* dy,
                                float* dw, float* dbias) {
  const ConvGeometry g{
      .in_h = 1, .in_w = 1, .in_c = in, .out_c = out, .kernel_h = 1, .kernel_w = 1};
  const Task task{kernels, g, rows, x, dy, dw, dbias};
  KernelRows(task).run(stream);
}

// Where dw is written once, when its sums are complete.
bool CpuBackend::conv_adds_gradient(const ConvGeometry& g, std::int64_t images) {
  return pixels_suit(g) ? pixels_add_gradient(g, images) : winograd_suits(g);
}

void CpuBackend::conv_backward_weights(Stream& stream, const ConvGeometry& g, const Tensor& x,
                                       const Tensor& dy, bool add, Tensor& dw, Tensor& dbias) {
  check_geometry(g);
  check_images("x", x, g.in_h, g.in_w, g.in_c);
  check_images("dy", dy, g.out_h(), g.out_w(), g.out_c);
  LOCKSTEP_CHECK(x.rows() == dy.rows(), "conv: {} and {} images", x.rows(), dy.rows());
  check_conv_elements("dw", dw, g.weight_elements());
  if (dbias) check_conv_elements("dbias", dbias, g.out_c);
  LOCKSTEP_CHECK(!add || conv_adds_gradient(g, x.rows()), "conv: this gradient cannot be added");
  const Task task{products_,
                  g,
                  x.rows(),
                  x.data<float>(),
                  dy.data<float>(),
                  dw.data<float>(),
                  dbias ? dbias.data<float>() : nullptr};
  if (task.images == 0) {
    if (!add) std::memset(dw.raw(), 0, dw.bytes());
    if (dbias) std::memset(dbias.raw(), 0, dbias.bytes());
  } else if (pixels_suit(g) || winograd_suits(g) || is_depthwise(g)) {
    if (is_depthwise(g)) {
      depthwise_backward_weights(stream, depthwise_, g, task.images, task.x, task.dy, task.dw);
    } else if (pixels_suit(g)) {
      pixels_backward_weights(stream, products_, g, task.images, task.x, task.dy, add, task.dw);
    } else {
      winograd_backward_weights(stream, {gemm_, winograd_}, g, task.images, task.x, task.dy, add,
                                task.dw);
    }
    if (dbias) gemm_.column_sums(task.dy, task.rows() * task.out_w, g.out_c, false, task.dbias);
  } else if (SpreadImages::suits(g)) {
    weights_by_spread_images(stream, task);
  } else {
    KernelRows(task).run(stream);
  }
}

}  // namespace lockstep
