#include "models/layers/pool.h"

#include "runtime/step/onnx_export.h"

namespace lockstep {

namespace {

void check_image(const Build& build, const char* kind, const Shape& in) {
  if (in.rank() != 3) {
    throw Error("layer '{}' ({}) takes images (H, W, C), not {}", build.path(), kind,
                in.to_string());
  }
}

// The windows over images `in`. As in PyTorch, padding is at most half the window, so that every
// window sees the image.
PoolGeometry geometry_for(const Build& build, const char* kind, const PoolOptions& options,
                          const Shape& in) {
  check_image(build, kind, in);
  PoolGeometry geometry;
  geometry.in_h = in[0];
  geometry.in_w = in[1];
  geometry.channels = in[2];
  geometry.kernel_h = options.kernel_h;
  geometry.kernel_w = options.kernel_w;
  geometry.stride_h = options.stride_h;
  geometry.stride_w = options.stride_w;
  geometry.pad_h = options.pad_h;
  geometry.pad_w = options.pad_w;
  geometry.count_include_pad = options.count_include_pad;
  if (2 * geometry.pad_h > geometry.kernel_h || 2 * geometry.pad_w > geometry.kernel_w) {
    throw Error("layer '{}' ({}): padding {} x {} is more than half the window of {} x {}",
                build.path(), kind, geometry.pad_h, geometry.pad_w, geometry.kernel_h,
                geometry.kernel_w);
  }
  if (geometry.in_h + 2 * geometry.pad_h < geometry.kernel_h ||
      geometry.in_w + 2 * geometry.pad_w < geometry.kernel_w) {
    throw Error(
        "layer '{}' ({}): a window of {} x {} does not fit into an image of {} x {}; use "
        "larger images or a network for small ones",
        build.path(), kind, geometry.kernel_h, geometry.kernel_w, geometry.in_h, geometry.in_w);
  }
  return geometry;
}

Shape output_of(const PoolGeometry& geometry) {
  return {geometry.out_h(), geometry.out_w(), geometry.channels};
}

}  // namespace

PoolOptions PoolOptions::square(std::int64_t kernel, std::int64_t stride, std::int64_t pad) {
  PoolOptions options;
  options.kernel_h = options.kernel_w = kernel;
  options.stride_h = options.stride_w = stride;
  options.pad_h = options.pad_w = pad;
  return options;
}

MaxPool2d::MaxPool2d(const PoolOptions& options) : options_(options) {}

Shape MaxPool2d::build(Build& build, const Shape& in) {
  const Shape out = build_within(build, in);
  if (build.gradient_flows) dx_ = build.gradient_buffer(in);
  return out;
}

Shape MaxPool2d::build_within(Build& build, const Shape& in) {
  geometry_ = geometry_for(build, "max_pool", options_, in);
  if (geometry_.kernel_h * geometry_.kernel_w > 255) {
    throw Error("layer '{}' (max_pool): a window has at most 255 places, not {} x {}", build.path(),
                geometry_.kernel_h, geometry_.kernel_w);
  }
  const Shape out = output_of(geometry_);
  y_ = build.buffer(out);
  argmax_ = build.buffer(out, DType::kUInt8);
  build.table.push_back({build.path(), "max_pool", out});
  return out;
}

Tensor MaxPool2d::forward(const Pass& pass, const Tensor& x) {
  Result pooled = result(x.rows());
  pass.backend.max_pool_forward(pass.stream, geometry_, x, pooled.y, pooled.argmax);
  return pooled.y;
}

Tensor MaxPool2d::backward(const Pass& pass, const Tensor& dy) {
  if (!dx_) return {};
  Tensor dx = dx_.head(dy.rows());
  pass.backend.max_pool_backward(pass.stream, geometry_, dy, argmax_.head(dy.rows()), dx);
  return dx;
}

AvgPool2d::AvgPool2d(const PoolOptions& options) : options_(options) {}

Shape AvgPool2d::build(Build& build, const Shape& in) {
  geometry_ = geometry_for(build, "avg_pool", options_, in);
  const Shape out = output_of(geometry_);
  y_ = build.buffer(out);
  if (build.gradient_flows) dx_ = build.gradient_buffer(in);
  build.table.push_back({build.path(), "avg_pool", out});
  return out;
}

Tensor AvgPool2d::forward(const Pass& pass, const Tensor& x) {
  Tensor y = y_.head(x.rows());
  pass.backend.avg_pool_forward(pass.stream, geometry_, x, y);
  return y;
}

Tensor AvgPool2d::backward(const Pass& pass, const Tensor& dy) {
  if (!dx_) return {};
  Tensor dx = dx_.head(dy.rows());
  pass.backend.avg_pool_backward(pass.stream, geometry_, dy, dx);
  return dx;
}

Shape GlobalAvgPool2d::build(Build& build, const Shape& in) {
  check_image(build, "global_avg_pool", in);
  const Shape out{in[2]};
  y_ = build.buffer(out);
  if (build.gradient_flows) dx_ = build.gradient_buffer(in);
  build.table.push_back({build.path(), "global_avg_pool", out, 0, in.elements()});
  return out;
}

Tensor GlobalAvgPool2d::forward(const Pass& pass, const Tensor& x) {
  Tensor y = y_.head(x.rows());
  pass.backend.global_avg_pool_forward(pass.stream, x, y);
  return y;
}

Tensor GlobalAvgPool2d::backward(const Pass& pass, const Tensor& dy) {
  if (!dx_) return {};
  Tensor dx = dx_.head(dy.rows());
  pass.backend.global_avg_pool_backward(pass.stream, dy, dx);
  return dx;
}

namespace {

std::string add_pool(OnnxExport& onnx, const std::string& op, const OnnxValue& x,
                     const PoolGeometry& g, std::vector<OnnxAttribute> attributes) {
  using Sizes = std::vector<std::int64_t>;
  attributes.push_back({"kernel_shape", Sizes{g.kernel_h, g.kernel_w}});
  attributes.push_back({"strides", Sizes{g.stride_h, g.stride_w}});
  attributes.push_back({"pads", Sizes{g.pad_h, g.pad_w, g.pad_h, g.pad_w}});
  return onnx.node(op, {x.name}, attributes);
}

}  // namespace

OnnxValue MaxPool2d::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  return {add_pool(onnx, "MaxPool", x, geometry_, {}), output_of(geometry_)};
}

OnnxValue AvgPool2d::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  const std::int64_t include = geometry_.count_include_pad ? 1 : 0;
  return {add_pool(onnx, "AveragePool", x, geometry_, {{"count_include_pad", include}}),
          output_of(geometry_)};
}

OnnxValue GlobalAvgPool2d::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  return {onnx.node("Flatten", {onnx.node("GlobalAveragePool", {x.name})}), {x.sample[2]}};
}

}  // namespace lockstep
