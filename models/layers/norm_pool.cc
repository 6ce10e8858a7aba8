#include "models/layers/norm_pool.h"

#include "runtime/step/onnx_export.h"

namespace lockstep {

NormMaxPool::NormMaxPool(std::string norm_name, const PoolOptions& pool, std::string pool_name)
    : pool_(pool), norm_name_(std::move(norm_name)), pool_name_(std::move(pool_name)) {
  norm_.end_with_max_pool();
}

Shape NormMaxPool::build(Build& build, const Shape& in) {
  Shape out;
  {
    const Build::Scope scope(build, norm_name_);
    norm_path_ = build.path();
    out = norm_.build(build, in);
  }
  const Build::Scope scope(build, pool_name_);
  pool_path_ = build.path();
  return norm_.pools() ? pool_.build_within(build, out) : pool_.build(build, out);
}

Tensor NormMaxPool::forward(const Pass& pass, const Tensor& x) {
  if (!norm_.pools()) return pool_.forward(pass, norm_.forward(pass, x));
  MaxPool2d::Result pooled = pool_.result(x.rows());
  norm_.forward(pass, x, pool_.geometry(), pooled);
  return pooled.y;
}

Tensor NormMaxPool::backward(const Pass& pass, const Tensor& dy) {
  if (!norm_.pools()) {
    const Tensor dx = pool_.backward(pass, dy);
    return norm_.backward(pass, dx);
  }
  return norm_.backward(pass, dy, pool_.geometry(), pool_.result(dy.rows()));
}

// Where a window's largest value is not above 0, the ReLU stops its gradient: backward reads y.
bool NormMaxPool::keeps_output() const {
  return norm_.pools();
}

OnnxValue NormMaxPool::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  const std::string path = onnx.path();
  onnx.enter(norm_path_);
  const OnnxValue normalised = norm_.to_onnx(onnx, x);
  onnx.enter(pool_path_);
  const OnnxValue y = pool_.to_onnx(onnx, normalised);
  onnx.enter(path);
  return y;
}

}  // namespace lockstep
