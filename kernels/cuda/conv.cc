// Convolutions: cuDNN's, but for depthwise ones, which are kernels of our own. The libraries read
// the weights as they lie; packing gives them the type of the activations, and cuDNN its channels.
#include "kernels/cuda/checks.h"
#include "kernels/cuda/column_total.h"
#include "kernels/cuda/conv_channels.h"
#include "kernels/cuda/conv_depthwise.h"
#include "kernels/cuda/pad_columns.h"

namespace lockstep {

namespace {

void check_geometry(const ConvGeometry& g) {
  LOCKSTEP_CHECK(g.in_h > 0 && g.in_w > 0 && g.kernel_h > 0 && g.kernel_w > 0 && g.stride_h > 0 &&
                     g.stride_w > 0 && g.dilation_h > 0 && g.dilation_w > 0 && g.pad_h >= 0 &&
                     g.pad_w >= 0,
                 "conv: image {} x {}, kernel {} x {}, stride {} x {}, dilation {} x {}, padding "
                 "{} x {}",
                 g.in_h, g.in_w, g.kernel_h, g.kernel_w, g.stride_h, g.stride_w, g.dilation_h,
                 g.dilation_w, g.pad_h, g.pad_w);
  LOCKSTEP_CHECK(g.groups > 0 && g.in_c % g.groups == 0 && g.out_c % g.groups == 0,
                 "conv: {} and {} channels in {} groups", g.in_c, g.out_c, g.groups);
  LOCKSTEP_CHECK(g.out_h() > 0 && g.out_w() > 0, "conv: the kernel {} x {} is larger than {} x {}",
                 g.kernel_h, g.kernel_w, g.in_h, g.in_w);
}

void check_inputs(const ConvGeometry& g, const Tensor& x, std::int64_t images, DType type) {
  gpu::check_shape(x, {images, g.in_h, g.in_w, g.in_c}, "conv: x", type);
}

void check_outputs(const ConvGeometry& g, const Tensor& y, std::int64_t images, DType type) {
  gpu::check_shape(y, {images, g.out_h(), g.out_w(), g.out_c}, "conv: y", type);
}

std::size_t bytes_of_images(const ConvGeometry& g, std::int64_t images, DType type) {
  return static_cast<std::size_t>(images * g.in_h * g.in_w * g.in_c) * size_of(type);
}

}  // namespace

std::int64_t CudaBackend::conv_packed_elements(const ConvGeometry& g, bool) {
  return activation_type_ == DType::kFloat32
             ? 0
             : gpu::padded_channels(g, activation_type_).weight_elements();
}

void CudaBackend::conv_pack(Stream& stream, const ConvGeometry& g, bool, const Tensor& w,
                            Tensor& packed) {
  const ConvGeometry wide = gpu::padded_channels(g, packed.dtype());
  gpu::check_count(w, g.weight_elements(), "conv: w");
  gpu::check_count(packed, wide.weight_elements(), "conv: packed", packed.dtype());
  if (wide.in_c == g.in_c)
    convert(stream, w, packed);
  else
    gpu::pad_columns(stream, w, g.in_c, wide.in_c, packed.raw());
}

void CudaBackend::conv_forward(Stream& stream, const ConvGeometry& g, const Tensor& x,
                               const Tensor& master, const Tensor& packed, const Tensor& bias,
                               Tensor& y) {
  const std::int64_t images = x.rows();
  const ConvGeometry wide = gpu::padded_channels(g, x.dtype());
  const Tensor& w = gpu::weights_for(x, master, packed);
  check_geometry(g);
  check_inputs(g, x, images, x.dtype());
  check_outputs(g, y, images, x.dtype());
  gpu::check_count(w, wide.weight_elements(), "conv: w", x.dtype());
  if (bias.defined()) gpu::check_count(bias, g.out_c, "conv: bias");
  if (images == 0) return;
  if (gpu::is_depthwise(g)) {
    gpu::depthwise_forward(stream, g, x, w, bias, y);
    return;
  }
  CudaStream& ours = cuda_stream(stream);
  const void* input = x.raw();
  std::shared_ptr<std::byte> scratch;
  if (wide.in_c != g.in_c) {
    scratch = ours.second_workspace(bytes_of_images(wide, images, x.dtype()));
    gpu::pad_columns(stream, x, g.in_c, wide.in_c, scratch.get());
    input = scratch.get();
  }
  libraries_->conv_forward(ours, {wide, images, x.dtype()}, input, w.raw(),
                           gpu::optional_data<float>(bias), y.raw());
}

void CudaBackend::conv_backward_data(Stream& stream, const ConvGeometry& g, const Tensor& dy,
                                     const Tensor& master, const Tensor& packed, bool add_to_dx,
                                     Tensor& dx) {
  const std::int64_t images = dy.rows();
  const ConvGeometry wide = gpu::padded_channels(g, dy.dtype());
  const Tensor& w = gpu::weights_for(dy, master, packed);
  check_geometry(g);
  check_outputs(g, dy, images, dy.dtype());
  check_inputs(g, dx, images, dy.dtype());
  gpu::check_count(w, wide.weight_elements(), "conv: w", dy.dtype());
  if (images == 0) return;
  if (gpu::is_depthwise(g)) {
    gpu::depthwise_backward_data(stream, g, dy, w, add_to_dx, dx);
    return;
  }
  // cuDNN's plans that add are few: the gradient gets memory of its own, and a kernel adds it.
  CudaStream& ours = cuda_stream(stream);
  const bool pads = wide.in_c != g.in_c;
  Tensor result = dx;
  if (add_to_dx || pads)
    result = Tensor(ours.second_workspace(bytes_of_images(wide, images, dy.dtype())),
                    {images, g.in_h, g.in_w, wide.in_c}, dy.dtype(), this);
  libraries_->conv_backward_data(ours, {wide, images, dy.dtype()}, dy.raw(), w.raw(), result.raw());
  if (pads)
    gpu::strip_columns(stream, result.raw(), g.in_c, wide.in_c, add_to_dx, dx);
  else if (add_to_dx)
    add(stream, dx, result, dx);
}

bool CudaBackend::conv_adds_gradient(const ConvGeometry&, std::int64_t) {
  return false;
}

void CudaBackend::conv_backward_weights(Stream& stream, const ConvGeometry& g, const Tensor& x,
                                        const Tensor& dy, bool add_to_dw, Tensor& dw,
                                        Tensor& dbias) {
  const std::int64_t images = x.rows();
  LOCKSTEP_CHECK(!add_to_dw, "conv: gradients of weights are overwritten, see conv_adds_gradient");
  check_geometry(g);
  check_inputs(g, x, images, x.dtype());
  check_outputs(g, dy, images, x.dtype());
  gpu::check_count(dw, g.weight_elements(), "conv: dw");
  if (dbias.defined()) gpu::column_total(stream, "conv_backward_weights", dy, g.out_c, dbias);
  if (images == 0) {
    gpu::set_bytes(dw.raw(), 0, dw.bytes(), gpu::raw(stream));
    return;
  }
  if (gpu::is_depthwise(g)) {
    gpu::depthwise_backward_weights(stream, g, x, dy, dw);
    return;
  }
  CudaStream& ours = cuda_stream(stream);
  if (x.dtype() == DType::kFloat32) {
    libraries_->conv_backward_weights(ours, {g, images, x.dtype()}, x.raw(), dy.raw(), dw.raw());
    return;
  }
  // cuDNN gives the gradient in the type of x; widened, it is the same number.
  const ConvGeometry wide = gpu::padded_channels(g, x.dtype());
  const bool pads = wide.in_c != g.in_c;
  const std::size_t input_bytes = pads ? bytes_of_images(wide, images, x.dtype()) : 0;
  const auto scratch = ours.second_workspace(
      input_bytes + static_cast<std::size_t>(wide.weight_elements()) * size_of(x.dtype()));
  std::byte* const gradient = scratch.get() + input_bytes;
  if (pads) gpu::pad_columns(stream, x, g.in_c, wide.in_c, scratch.get());
  libraries_->conv_backward_weights(ours, {wide, images, x.dtype()}, pads ? scratch.get() : x.raw(),
                                    dy.raw(), gradient);
  gpu::strip_columns(stream, gradient, g.in_c, wide.in_c, false, dw);
}

}  // namespace lockstep
