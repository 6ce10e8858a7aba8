#include "kernels/cpu/conv_plan.h"

#include <algorithm>
#include <cstring>

namespace lockstep {
namespace {

TapAxis forward_axis(std::int64_t kernel, std::int64_t pad, std::int64_t dilation,
                     std::int64_t outputs) {
  return {kernel, -pad, dilation, 0, 1, outputs, 0};
}

// dx[i] = Σ dy[o] w[k] over o · stride = i + pad - dilation · k: for the phase i = first + stride ·
// q those k whose right side stride divides, the last of them first, since it reads the lowest o.
TapAxis data_axis(std::int64_t first, std::int64_t size, std::int64_t kernel, std::int64_t stride,
                  std::int64_t pad, std::int64_t dilation) {
  TapAxis axis;
  axis.output_first = first;
  axis.outputs = first < size ? (size - first + stride - 1) / stride : 0;
  for (std::int64_t k = kernel - 1; k >= 0; --k) {
    const std::int64_t shift = first + pad - dilation * k;
    if (shift % stride != 0) continue;
    const std::int64_t offset = shift / stride;
    if (axis.count == 0) {
      axis.first = offset;
      axis.kernel_first = k;
    } else if (axis.count == 1) {
      axis.step = offset - axis.first;
      axis.kernel_step = k - axis.kernel_first;
    }
    ++axis.count;
  }
  return axis;
}

std::int64_t divide_up(std::int64_t a, std::int64_t b) {  // b > 0
  return a > 0 ? (a + b - 1) / b : -(-a / b);
}

}  // namespace

void check_geometry(const ConvGeometry& g) {
  LOCKSTEP_CHECK(g.groups > 0 && g.in_c % g.groups == 0 && g.out_c % g.groups == 0,
                 "conv: {} and {} channels in {} groups", g.in_c, g.out_c, g.groups);
  LOCKSTEP_CHECK(g.in_h > 0 && g.in_w > 0 && g.in_c > 0 && g.out_c > 0 && g.kernel_h > 0 &&
                     g.kernel_w > 0 && g.stride_h > 0 && g.stride_w > 0 && g.dilation_h > 0 &&
                     g.dilation_w > 0 && g.pad_h >= 0 && g.pad_w >= 0,
                 "conv: a size, stride or dilation below one");
  LOCKSTEP_CHECK(g.in_h + 2 * g.pad_h > g.dilation_h * (g.kernel_h - 1) &&
                     g.in_w + 2 * g.pad_w > g.dilation_w * (g.kernel_w - 1),
                 "conv: the kernel is larger than the padded image");
}

void check_images(const char* name, const Tensor& tensor, std::int64_t h, std::int64_t w,
                  std::int64_t c) {
  LOCKSTEP_CHECK(tensor.defined() && tensor.dtype() == DType::kFloat32 &&
                     tensor.elements() == tensor.rows() * h * w * c,
                 "conv: {} is {}, expected float32 (N, {}, {}, {})", name,
                 tensor.shape().to_string(), h, w, c);
}

void check_conv_elements(const char* name, const Tensor& tensor, std::int64_t elements) {
  LOCKSTEP_CHECK(
      tensor.defined() && tensor.dtype() == DType::kFloat32 && tensor.elements() == elements,
      "conv: {} is {}, expected {} float32 elements", name, tensor.shape().to_string(), elements);
}

Correlation forward_correlation(const ConvGeometry& g) {
  return {g.in_h,   g.in_w,     g.in_c,     g.out_h(), g.out_w(), g.out_c,
          g.groups, g.stride_h, g.stride_w, 1,         1};
}

ConvPart forward_part(const ConvGeometry& g) {
  return {forward_axis(g.kernel_h, g.pad_h, g.dilation_h, g.out_h()),
          forward_axis(g.kernel_w, g.pad_w, g.dilation_w, g.out_w()), 0};
}

Correlation data_correlation(const ConvGeometry& g) {
  return {g.out_h(), g.out_w(), g.out_c, g.in_h,     g.in_w,    g.in_c,
          g.groups,  1,         1,       g.stride_h, g.stride_w};
}

std::int64_t data_parts(const ConvGeometry& g) {
  return g.stride_h * g.stride_w;
}

ConvPart data_part(const ConvGeometry& g, std::int64_t index, std::int64_t weights_before) {
  return {data_axis(index / g.stride_w, g.in_h, g.kernel_h, g.stride_h, g.pad_h, g.dilation_h),
          data_axis(index % g.stride_w, g.in_w, g.kernel_w, g.stride_w, g.pad_w, g.dilation_w),
          weights_before};
}

void SourceColumns::include(const Correlation& c, const ConvPart& part) {
  if (part.w.count == 0 || part.w.outputs == 0) return;
  first = std::min(first, part.w.first);
  end = std::max(
      end, (part.w.outputs - 1) * c.stride_w + part.w.first + (part.w.count - 1) * part.w.step + 1);
}

void SourceColumns::finish(const Correlation& c) {
  copied = first < 0 || end > c.source_w;
  if (!copied) end = c.source_w;
}

PaddedImages::PaddedImages(float* memory, std::int64_t images, std::int64_t height,
                           std::int64_t width, std::int64_t channels, const SourceColumns& columns)
    : memory_(memory),
      height_(height),
      row_(width * channels),
      padded_row_(columns.width() * channels),
      margin_(-columns.first * channels),
      inside_((std::min(columns.end, width)) * channels) {
  const std::int64_t behind = padded_row_ - margin_ - inside_;
  for (std::int64_t row = 0; row < images * height_; ++row) {
    float* const to = memory_ + row * padded_row_;
    std::memset(to, 0, static_cast<std::size_t>(margin_) * sizeof(float));
    std::memset(to + margin_ + inside_, 0, static_cast<std::size_t>(behind) * sizeof(float));
  }
}

void PaddedImages::copy(const GemmKernels& kernels, std::int64_t slot, const float* image) const {
  float* const to = memory_ + slot * height_ * padded_row_ + margin_;
  kernels.copy_lines({image, row_, 0, to, padded_row_, 0, height_, 1, inside_});
}

TapRange taps_inside(const TapAxis& taps, std::int64_t stride, std::int64_t size, std::int64_t q) {
  const std::int64_t at = taps.first + stride * q;  // the source row of tap 0
  const std::int64_t first = std::max<std::int64_t>(0, divide_up(-at, taps.step));
  const std::int64_t end = std::min(taps.count, divide_up(size - at, taps.step));
  return first < end ? TapRange{first, end} : TapRange{};
}

}  // namespace lockstep
