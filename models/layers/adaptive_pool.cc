#include "models/layers/adaptive_pool.h"

#include "runtime/step/onnx_export.h"

namespace lockstep {

namespace {

AdaptivePoolGeometry to_size(std::int64_t out_h, std::int64_t out_w) {
  if (out_h < 1 || out_w < 1)
    throw Error("adaptive pooling to {} x {}; both are at least 1", out_h, out_w);
  AdaptivePoolGeometry geometry;
  geometry.out_h = out_h;
  geometry.out_w = out_w;
  return geometry;
}

Shape set_input(const Build& build, const char* kind, const Shape& in,
                AdaptivePoolGeometry& geometry) {
  if (in.rank() != 3) {
    throw Error("layer '{}' ({}) takes images (H, W, C), not {}", build.path(), kind,
                in.to_string());
  }
  geometry.in_h = in[0];
  geometry.in_w = in[1];
  geometry.channels = in[2];
  return {geometry.out_h, geometry.out_w, geometry.channels};
}

}  // namespace

AdaptiveMaxPool2d::AdaptiveMaxPool2d(std::int64_t out_h, std::int64_t out_w)
    : geometry_(to_size(out_h, out_w)) {}

Shape AdaptiveMaxPool2d::build(Build& build, const Shape& in) {
  const Shape out = set_input(build, "adaptive_max_pool", in, geometry_);
  y_ = build.buffer(out);
  place_ = build.buffer(out, DType::kInt64);
  if (build.gradient_flows) dx_ = build.gradient_buffer(in);
  build.table.push_back({build.path(), "adaptive_max_pool", out});
  return out;
}

Tensor AdaptiveMaxPool2d::forward(const Pass& pass, const Tensor& x) {
  Tensor y = y_.head(x.rows()), place = place_.head(x.rows());
  pass.backend.adaptive_max_pool_forward(pass.stream, geometry_, x, y, place);
  return y;
}

Tensor AdaptiveMaxPool2d::backward(const Pass& pass, const Tensor& dy) {
  if (!dx_) return {};
  Tensor dx = dx_.head(dy.rows());
  pass.backend.adaptive_max_pool_backward(pass.stream, geometry_, dy, place_.head(dy.rows()), dx);
  return dx;
}

AdaptiveAvgPool2d::AdaptiveAvgPool2d(std::int64_t out_h, std::int64_t out_w)
    : geometry_(to_size(out_h, out_w)) {}

Shape AdaptiveAvgPool2d::build(Build& build, const Shape& in) {
  const Shape out = set_input(build, "adaptive_avg_pool", in, geometry_);
  y_ = build.buffer(out);
  if (build.gradient_flows) dx_ = build.gradient_buffer(in);
  build.table.push_back({build.path(), "adaptive_avg_pool", out, 0, in.elements()});
  return out;
}

Tensor AdaptiveAvgPool2d::forward(const Pass& pass, const Tensor& x) {
  Tensor y = y_.head(x.rows());
  pass.backend.adaptive_avg_pool_forward(pass.stream, geometry_, x, y);
  return y;
}

Tensor AdaptiveAvgPool2d::backward(const Pass& pass, const Tensor& dy) {
  if (!dx_) return {};
  Tensor dx = dx_.head(dy.rows());
  pass.backend.adaptive_avg_pool_backward(pass.stream, geometry_, dy, dx);
  return dx;
}

namespace {

// ONNX has no adaptive pooling: `reduce` ("ReduceMax" or "ReduceMean") along one axis after the
// other, each output's window a slice of its own. Windows are rectangles, so the order is free.
OnnxValue add_windows(OnnxExport& onnx, const std::string& reduce, const OnnxValue& x,
                      const AdaptivePoolGeometry& g) {
  const auto along = [&](const std::string& y, std::int64_t axis, std::int64_t in,
                         std::int64_t out) {
    std::vector<std::string> windows;
    for (std::int64_t o = 0; o < out; ++o) {
      const std::int64_t begin = o * in / out, end = ((o + 1) * in + out - 1) / out;
      const std::string window = onnx.node(
          "Slice", {y, onnx.integers({begin}), onnx.integers({end}), onnx.integers({axis})});
      windows.push_back(onnx.node(reduce, {window}, {{"axes", std::vector<std::int64_t>{axis}}}));
    }
    return onnx.node("Concat", windows, {{"axis", axis}});
  };
  const std::string rows = along(x.name, 2, g.in_h, g.out_h);
  return {along(rows, 3, g.in_w, g.out_w), {g.out_h, g.out_w, g.channels}};
}

}  // namespace

OnnxValue AdaptiveMaxPool2d::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  return add_windows(onnx, "ReduceMax", x, geometry_);
}

OnnxValue AdaptiveAvgPool2d::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  return add_windows(onnx, "ReduceMean", x, geometry_);
}

}  // namespace lockstep
