// Weight and bias gradients of convolutions: dw (kernel_h, kernel_w, channel | output channel) is
// the sum over all output pixels of x times dy. Images are taken in groups of about 512 pixels,
// whose products stay in registers for a whole run before they are added to dw.
#include <cstring>

#include "kernels/cpu/backend_impl.h"
#include "kernels/cpu/conv_spread.h"

namespace lockstep {
namespace {

constexpr std::int64_t kPixelsOfGroup = 512;

struct Task {
  const GemmKernels& kernels;
  const ConvGeometry& g;
  std::int64_t images;
  const float* x;
  const float* dy;
  float* dw;
  std::int64_t out_h = g.out_h(), out_w = g.out_w();

  std::int64_t images_of_group() const {
    return (kPixelsOfGroup + out_h * out_w - 1) / (out_h * out_w);
  }
  std::int64_t most_terms() const { return std::min(images, images_of_group()) * out_h * out_w; }
  std::int64_t most_segments() const { return std::min(images, images_of_group()) * out_h; }
  std::size_t run_bytes() const {
    return Workspace::bytes_of<GemmPiece>(
               RunBuilder::pieces_needed(most_segments(), most_terms())) +
           Workspace::bytes_of<GemmRun>(runs_of(most_terms()));
  }
  const float* image(std::int64_t index) const { return x + index * g.in_h * g.in_w * g.in_c; }
};

// Room for the runs of one product, used again for each.
class RunMemory {
 public:
  RunMemory(const Task& task, Workspace& workspace)
      : pieces_(workspace.take<GemmPiece>(
            RunBuilder::pieces_needed(task.most_segments(), task.most_terms()))),
        runs_(workspace.take<GemmRun>(runs_of(task.most_terms()))) {}
  RunBuilder builder(std::int64_t terms) const { return {pieces_, runs_, terms}; }

 private:
  GemmPiece* pieces_;
  GemmRun* runs_;
};

// The usual form: rows of dw for one kernel row are neighbouring floats of a row of the image, so x
// is read where it lies (or in a copy with zero columns around it), transposed.
void weights_by_kernel_rows(Stream& stream, const Task& task) {
  const ConvGeometry& g = task.g;
  const Correlation c = forward_correlation(g);
  const ConvPart part = forward_part(g);
  SourceColumns columns;
  columns.include(c, part);
  columns.finish(c);
  const std::int64_t group_images = std::min(task.images, task.images_of_group());
  const std::int64_t row = columns.width() * g.in_c, image_size = g.in_h * row;
  const std::int64_t padded = columns.copied ? group_images * image_size : 0;
  Workspace workspace(stream, Workspace::bytes_of<float>(padded) + task.run_bytes());
  float* const padded_images = workspace.take<float>(padded);
  const RunMemory memory(task, workspace);
  const PaddedImages copier(padded_images, columns.copied ? group_images : 0, g.in_h, g.in_w,
                            g.in_c, columns);

  const std::int64_t in = g.in_c / g.groups, out = g.out_c / g.groups;
  const bool merged = g.groups == 1 && g.dilation_w == 1;  // taps of a row are neighbours
  const std::int64_t row_parts = merged ? 1 : g.kernel_w, part_rows = merged ? g.kernel_w * in : in;
  for (std::int64_t first = 0; first < task.images; first += group_images) {
    const std::int64_t count = std::min(group_images, task.images - first);
    const float* source = task.image(first);
    if (columns.copied) {
      for (std::int64_t i = 0; i < count; ++i) copier.copy(task.kernels, i, task.image(first + i));
      source = padded_images;
    }
    for (std::int64_t kh = 0; kh < g.kernel_h; ++kh) {
      // Output rows whose source row lies inside the image, for this row of the kernel.
      const TapAxis outputs{task.out_h, kh * g.dilation_h - g.pad_h, g.stride_h, 0, 1, 0, 0};
      const TapRange inside = taps_inside(outputs, 1, g.in_h, 0);
      RunBuilder builder = memory.builder(count * (inside.end - inside.first) * task.out_w);
      for (std::int64_t i = 0; i < count; ++i) {
        for (std::int64_t oh = inside.first; oh < inside.end; ++oh) {
          builder.append(i * image_size + (outputs.first + oh * g.stride_h) * row,
                         (i * task.out_h + oh) * task.out_w, task.out_w, g.stride_w * g.in_c);
        }
      }
      GemmProduct product;
      builder.use(product);
      product.transposed = true;
      product.a_stride = g.stride_w * g.in_c;
      product.rows = part_rows;
      product.columns = out;
      product.accumulate = first > 0;
      for (std::int64_t group = 0; group < g.groups; ++group) {
        product.b = {task.dy + first * task.out_h * task.out_w * g.out_c + group * out, g.out_c,
                     kPanelColumns};
        for (std::int64_t kw = 0; kw < row_parts; ++kw) {
          const std::int64_t column = kw * g.dilation_w - g.pad_w - columns.first;
          const std::int64_t terms = g.kernel_h * g.kernel_w * in;
          product.a = source + column * g.in_c + group * in;
          product.c = {task.dw + group * terms * out, 0, kPanelColumns * terms,
                       (kh * g.kernel_w + kw) * in};
          task.kernels.multiply(product);
        }
      }
    }
  }
}

// The form for few channels: all rows of dw are one product.
void weights_by_spread_images(Stream& stream, const Task& task) {
  const ConvGeometry& g = task.g;
  const SpreadImages spread(g);
  const std::int64_t group_images = std::min(task.images, task.images_of_group());
  Workspace workspace(stream, Workspace::bytes_of<float>(group_images * spread.image()) +
                                  Workspace::bytes_of<float>(spread.padded()) + task.run_bytes());
  float* const images = workspace.take<float>(group_images * spread.image());
  float* const padded = workspace.take<float>(spread.padded());
  const RunMemory memory(task, workspace);
  spread.clear(padded);
  const std::int64_t terms = g.kernel_h * g.kernel_w * g.in_c, pixels = task.out_h * task.out_w;
  GemmProduct product;
  product.a = images;
  product.a_stride = task.out_w;
  product.c = {task.dw, 0, kPanelColumns * terms};
  product.rows = terms;
  product.columns = g.out_c;
  for (std::int64_t first = 0; first < task.images; first += group_images) {
    const std::int64_t count = std::min(group_images, task.images - first);
    RunBuilder builder = memory.builder(count * pixels);
    for (std::int64_t i = 0; i < count; ++i) {
      spread.write(task.kernels, task.image(first + i), padded, images + i * spread.image());
      for (std::int64_t oh = 0; oh < task.out_h; ++oh) {
        builder.append(i * spread.image() + oh * g.stride_h * spread.row(),
                       (i * task.out_h + oh) * task.out_w, task.out_w, 1);
      }
    }
    builder.use(product);
    product.b = {task.dy + first * pixels * g.out_c, g.out_c, kPanelColumns};
    product.accumulate = first > 0;
    task.kernels.multiply(product);
  }
}

}  // namespace

void CpuBackend::conv_backward_weights(Stream& stream, const ConvGeometry& g, const Tensor& x,
                                       const Tensor& dy, Tensor& dw, Tensor& dbias) {
  check_geometry(g);
  check_images("x", x, g.in_h, g.in_w, g.in_c);
  check_images("dy", dy, g.out_h(), g.out_w(), g.out_c);
  LOCKSTEP_CHECK(x.rows() == dy.rows(), "conv: {} and {} images", x.rows(), dy.rows());
  check_conv_elements("dw", dw, g.weight_elements());
  const Task task{gemm_, g, x.rows(), x.data<float>(), dy.data<float>(), dw.data<float>()};
  if (task.images == 0) {
    std::memset(dw.raw(), 0, dw.bytes());
  } else if (SpreadImages::suits(g)) {
    weights_by_spread_images(stream, task);
  } else {
    weights_by_kernel_rows(stream, task);
  }
  if (!dbias) return;
  check_conv_elements("dbias", dbias, g.out_c);
  gemm_.column_sums(dy.data<float>(), dy.rows() * g.out_h() * g.out_w(), g.out_c, false,
                    dbias.data<float>());
}

}  // namespace lockstep
