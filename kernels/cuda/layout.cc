// Between PyTorch's order of parameters, which files hold, and the order that NVIDIA's libraries
// read.
//   linear  file (out, in)                               memory the same, an image's inputs as H,
//   W, C conv    file (out, in / groups, kernel_h, kernel_w)  memory (out, kernel_h, kernel_w, in /
//   groups);
//           depthwise: (kernel_h, kernel_w, channel), for kernels of our own
#include "kernels/cuda/backend_impl.h"
#include "kernels/cuda/conv_depthwise.h"

namespace lockstep {
namespace {

// Calls visit(place in the file, place in memory) for every element.
template <typename Visit>
void visit_linear(const ParamLayout& layout, const Shape& shape, const Visit& visit) {
  LOCKSTEP_CHECK(shape.rank() == 2, "linear weights of shape {}", shape.to_string());
  const std::int64_t out = shape[0], in = shape[1];
  const bool image = layout.image.rank() == 3;
  LOCKSTEP_CHECK(layout.image.rank() == 0 || (image && layout.image.elements() == in),
                 "{} inputs from an image of shape {}", in, layout.image.to_string());
  const std::int64_t channels = image ? layout.image[2] : 1, pixels = in / channels;
  for (std::int64_t n = 0; n < out; ++n) {
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t p = 0; p < pixels; ++p)
        visit(n * in + c * pixels + p, n * in + p * channels + c);
    }
  }
}

template <typename Visit>
void visit_conv(const ParamLayout& layout, const Shape& shape, const Visit& visit) {
  LOCKSTEP_CHECK(shape.rank() == 4 && layout.groups > 0 && shape[0] % layout.groups == 0,
                 "convolution weights of shape {} in {} groups", shape.to_string(), layout.groups);
  const std::int64_t out = shape[0], in = shape[1], taps = shape[2] * shape[3];
  const bool depthwise = gpu::is_depthwise(layout.groups, in * layout.groups, out);
  for (std::int64_t n = 0; n < out; ++n) {
    for (std::int64_t c = 0; c < in; ++c) {
      for (std::int64_t t = 0; t < taps; ++t)
        visit((n * in + c) * taps + t, depthwise ? t * out + n : (n * taps + t) * in + c);
    }
  }
}

template <typename Visit>
void visit_elements(const ParamLayout& layout, const Shape& shape, const Tensor& file,
                    const Tensor& memory, const Visit& visit) {
  LOCKSTEP_CHECK(file.dtype() == DType::kFloat32 && memory.dtype() == DType::kFloat32 &&
                     file.elements() == shape.elements() && memory.elements() == shape.elements(),
                 "a parameter of shape {} from {} and {} elements", shape.to_string(),
                 file.elements(), memory.elements());
  switch (layout.kind) {
    case ParamLayout::Kind::kLinear:
      visit_linear(layout, shape, visit);
      return;
    case ParamLayout::Kind::kConv:
      visit_conv(layout, shape, visit);
      return;
    case ParamLayout::Kind::kPlain:
      for (std::int64_t i = 0; i < shape.elements(); ++i) visit(i, i);
      return;
  }
}

}  // namespace

void CudaBackend::from_file_order(const ParamLayout& layout, const Shape& file_shape,
                                  const Tensor& file_values, Tensor& value) {
  const bool on_host = value.device() == nullptr;  // memory that no device gave
  const Tensor ordered = on_host ? value : empty_pinned(value.shape(), value.dtype());
  visit_elements(layout, file_shape, file_values, ordered,
                 [from = file_values.data<float>(), to = ordered.data<float>()](
                     std::int64_t file, std::int64_t memory) { to[memory] = from[file]; });
  if (!on_host) copy(ordered, value);
}

void CudaBackend::to_file_order(const ParamLayout& layout, const Shape& file_shape,
                                const Tensor& value, Tensor& file_values) {
  const Tensor ordered = value.to_host();
  visit_elements(layout, file_shape, file_values, ordered,
                 [from = ordered.data<float>(), to = file_values.data<float>()](
                     std::int64_t file, std::int64_t memory) { to[file] = from[memory]; });
}

}  // namespace lockstep
