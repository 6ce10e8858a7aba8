#include "models/layers/conv2d.h"

#include "runtime/step/onnx_export.h"

namespace lockstep {

Conv2dOptions Conv2dOptions::square(std::int64_t out_channels, std::int64_t kernel,
                                    std::int64_t pad, std::int64_t stride) {
  Conv2dOptions options;
  options.out_channels = out_channels;
  options.kernel_h = options.kernel_w = kernel;
  options.pad_h = options.pad_w = pad;
  options.stride_h = options.stride_w = stride;
  return options;
}

Conv2d::Conv2d(const Conv2dOptions& options) : options_(options), has_bias_(options.bias) {
  geometry_.out_c = options.out_channels;
  geometry_.kernel_h = options.kernel_h;
  geometry_.kernel_w = options.kernel_w;
  geometry_.stride_h = options.stride_h;
  geometry_.stride_w = options.stride_w;
  geometry_.pad_h = options.pad_h;
  geometry_.pad_w = options.pad_w;
  geometry_.dilation_h = options.dilation_h;
  geometry_.dilation_w = options.dilation_w;
  geometry_.groups = options.groups;
}

Shape Conv2d::build(Build& build, const Shape& in) {
  if (in.rank() != 3) {
    throw Error("layer '{}' (conv2d) takes images (H, W, C), not {}", build.path(), in.to_string());
  }
  geometry_.in_h = in[0];
  geometry_.in_w = in[1];
  geometry_.in_c = in[2];
  geometry_.direct = build.direct_convolutions;
  check_geometry(build.path());
  const bool data_gradient = build.gradient_flows;
  const std::int64_t fan_in =
      geometry_.in_c / geometry_.groups * geometry_.kernel_h * geometry_.kernel_w;

  ParamSpec weight;
  weight.file_shape = {geometry_.out_c, geometry_.in_c / geometry_.groups, geometry_.kernel_h,
                       geometry_.kernel_w};
  weight.layout.kind = ParamLayout::Kind::kConv;
  weight.layout.groups = geometry_.groups;
  weight.initializer = options_.weight_values != nullptr
                           ? options_.weight_values(weight.file_shape, geometry_.groups)
                           : torch_default_weight(fan_in);
  weight.adds_gradient = build.backend().conv_adds_gradient(geometry_, build.max_rows());
  weight_ = build.param("weight", weight);
  if (has_bias_) {
    ParamSpec bias;
    bias.file_shape = {geometry_.out_c};
    bias.initializer = options_.bias_values.value_or(torch_default_bias(fan_in));
    bias.weight_decay = false;
    bias_ = build.param("bias", bias);
  }

  const auto build_packed = [&](PackedWeights& packed, bool backward) {
    packed.build(build, build.backend().conv_packed_elements(geometry_, backward),
                 [g = geometry_, backward, weight = weight_](const Pass& pass, Tensor& copy) {
                   pass.backend.conv_pack(pass.stream, g, backward, weight->value, copy);
                 });
  };
  build_packed(packed_forward_, false);
  if (build.backend().packs_alike())
    packed_backward_ = packed_forward_;
  else if (data_gradient)
    build_packed(packed_backward_, true);
  if (data_gradient) dx_ = build.gradient_buffer(in);
  const Shape out{geometry_.out_h(), geometry_.out_w(), geometry_.out_c};
  y_ = build.buffer(out);
  build.table.push_back({build.path(), "conv2d", out,
                         geometry_.weight_elements() + (has_bias_ ? geometry_.out_c : 0),
                         geometry_.weight_elements() * out[0] * out[1]});
  return out;
}

void Conv2d::check_geometry(const std::string& path) const {
  if (geometry_.in_c % geometry_.groups != 0 || geometry_.out_c % geometry_.groups != 0) {
    throw Error("layer '{}' (conv2d): {} groups do not divide {} input and {} output channels",
                path, geometry_.groups, geometry_.in_c, geometry_.out_c);
  }
  const std::int64_t reach_h = geometry_.dilation_h * (geometry_.kernel_h - 1) + 1;
  const std::int64_t reach_w = geometry_.dilation_w * (geometry_.kernel_w - 1) + 1;
  if (geometry_.in_h + 2 * geometry_.pad_h < reach_h ||
      geometry_.in_w + 2 * geometry_.pad_w < reach_w) {
    throw Error(
        "layer '{}' (conv2d): a kernel over {} x {} does not fit into an image of {} x {} "
        "padded by {} and {}; use larger images or a network for small ones",
        path, reach_h, reach_w, geometry_.in_h, geometry_.in_w, geometry_.pad_h, geometry_.pad_w);
  }
}

Tensor Conv2d::forward(const Pass& pass, const Tensor& x) {
  const Tensor& packed = packed_forward_.refreshed(pass);
  x_ = x;
  Tensor y = y_.head(x.rows());
  pass.backend.conv_forward(pass.stream, geometry_, x, weight_->value, packed,
                            has_bias_ ? bias_->value : Tensor(), y);
  return y;
}

Tensor Conv2d::forward_with(const Pass& pass, const Tensor& x, const Epilogue& epilogue) {
  const Tensor& packed = packed_forward_.refreshed(pass);
  Tensor y = y_.head(x.rows());
  pass.backend.conv_inference(pass.stream, geometry_, x, weight_->value, packed,
                              has_bias_ ? bias_->value : Tensor(), epilogue, y);
  return y;
}

Tensor Conv2d::backward(const Pass& pass, const Tensor& dy) {
  Tensor dx;
  if (dx_) dx = dx_.head(dy.rows());
  backward(pass, dy, false, dx);
  return dx;
}

void Conv2d::add_backward(const Pass& pass, const Tensor& dy, Tensor& sum) {
  backward(pass, dy, true, sum);
}

void Conv2d::backward(const Pass& pass, const Tensor& dy, bool add, Tensor& dx) {
  if (any_trains({weight_, bias_})) {
    Tensor dbias = has_bias_ ? bias_->grad : Tensor();
    pass.backend.conv_backward_weights(pass.stream, geometry_, x_, dy, weight_->adds, weight_->grad,
                                       dbias);
  }
  if (dx) {
    const Tensor& packed = packed_backward_.refreshed(pass);
    pass.backend.conv_backward_data(pass.stream, geometry_, dy, weight_->value, packed, add, dx);
  }
  pass.ready(weight_);
  pass.ready(bias_);
}

OnnxValue Conv2d::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  const ConvGeometry& g = geometry_;
  std::vector<std::string> inputs = {x.name, onnx.param(*weight_)};
  if (bias_ != nullptr) inputs.push_back(onnx.param(*bias_));
  using Sizes = std::vector<std::int64_t>;
  return {onnx.node("Conv", inputs,
                    {{"kernel_shape", Sizes{g.kernel_h, g.kernel_w}},
                     {"strides", Sizes{g.stride_h, g.stride_w}},
                     {"pads", Sizes{g.pad_h, g.pad_w, g.pad_h, g.pad_w}},
                     {"dilations", Sizes{g.dilation_h, g.dilation_w}},
                     {"group", g.groups}}),
          {g.out_h(), g.out_w(), g.out_c}};
}

}  // namespace lockstep
