#include "models/layers/sequential.h"

#include "kernels/core/profile.h"
#include "runtime/step/onnx_export.h"

namespace lockstep {

namespace {

// Names its place already: the innermost layer that a file lists.
struct PlacedError : Error {
  using Error::Error;
};

}  // namespace

void Sequential::add(std::unique_ptr<UnaryLayer> layer, std::string name, std::string origin) {
  if (name.empty()) name = std::to_string(children_.size());
  children_.push_back({name, std::move(layer), std::move(origin), name, {}});
}

void Sequential::add_unscoped(std::unique_ptr<UnaryLayer> layer, std::string name) {
  if (name.empty()) name = std::to_string(children_.size());
  children_.push_back({std::move(name), std::move(layer), {}, {}, {}});
}

Shape Sequential::build_child(Child& child, Build& build, const Shape& in) {
  try {
    return child.layer->build(build, in);
  } catch (const PlacedError&) {
    throw;
  } catch (const Error& error) {
    if (child.origin.empty()) throw;
    throw PlacedError("{}: {}", child.origin, error.what());
  }
}

Shape Sequential::build(Build& build, const Shape& in) {
  Shape shape = in;
  keeps_output_ = !build.input_overwritable;  // without children, the output is the input
  data_gradient_ = build.gradient_flows;
  lowest_in_backward_ = 0;
  for (Child& child : children_) {
    child.path = build.path(child.name);
    const Build::Scope scope(build, child.scope);
    build.input_overwritable = !keeps_output_;
    shape = build_child(child, build, shape);
    keeps_output_ = child.layer->keeps_output();
    if (!build.gradient_flows) ++lowest_in_backward_;
  }
  return shape;
}

DType Sequential::input_type() const {
  return children_.empty() ? DType::kFloat32 : children_.front().layer->input_type();
}

Tensor Sequential::forward(const Pass& pass, const Tensor& x) {
  if (pass.joins_layers()) return forward_joined(pass, x, {});
  Tensor y = x;
  for (Child& child : children_) {
    const ProfileScope scope(pass.stream.profile(), child.path);
    y = child.layer->forward(pass, y);
    if (pass.check_finite) check_finite(pass, child.path, y);
    if (pass.observer != nullptr) pass.observer->output(child.path, y);
  }
  return y;
}

std::size_t Sequential::join(std::size_t first, Epilogue& epilogue) const {
  const UnaryLayer& layer = *children_[first].layer;
  std::size_t end = first + 1;
  for (; end < children_.size(); ++end) {
    const std::optional<Epilogue> next = children_[end].layer->as_epilogue();
    Epilogue both = epilogue;
    if (!next || !both.append(*next) || !layer.takes(both)) break;
    epilogue = both;
  }
  return end;
}

bool Sequential::takes(const Epilogue& after) const {
  for (std::size_t i = 0; i < children_.size();) {
    Epilogue epilogue;
    const std::size_t end = join(i, epilogue);
    if (end == children_.size())
      return epilogue.append(after) && children_[i].layer->takes(epilogue);
    i = end;
  }
  return false;
}

Tensor Sequential::forward_with(const Pass& pass, const Tensor& x, const Epilogue& epilogue) {
  return forward_joined(pass, x, epilogue);
}

Tensor Sequential::forward_joined(const Pass& pass, const Tensor& x, const Epilogue& after) {
  Tensor y = x;
  for (std::size_t i = 0; i < children_.size();) {
    const Child& child = children_[i];
    const ProfileScope scope(pass.stream.profile(), child.path);
    Epilogue epilogue;
    const std::size_t end = join(i, epilogue);
    if (end == children_.size() && !after.empty()) {
      const bool whole = epilogue.append(after);
      LOCKSTEP_CHECK(whole, "{} was given an epilogue that it does not take", child.path);
    }
    y = epilogue.empty() ? child.layer->forward(pass, y)
                         : child.layer->forward_with(pass, y, epilogue);
    i = end;
  }
  return y;
}

template <typename Visit>
void Sequential::for_each_in_backward(const Pass& pass, const Tensor& dy, const Visit& visit) {
  Tensor gradient = dy;
  for (std::size_t i = children_.size(); i-- > lowest_in_backward_;) {
    const ProfileScope scope(pass.stream.profile(), children_[i].path);
    if (pass.observer != nullptr) pass.observer->gradient(children_[i].path, gradient);
    gradient = visit(*children_[i].layer, gradient, i == 0);
  }
}

Tensor Sequential::backward(const Pass& pass, const Tensor& dy) {
  Tensor dx = dy;
  for_each_in_backward(pass, dy, [&](UnaryLayer& layer, const Tensor& gradient, bool) {
    return dx = layer.backward(pass, gradient);
  });
  return data_gradient_ ? dx : Tensor();
}

void Sequential::add_backward(const Pass& pass, const Tensor& dy, Tensor& sum) {
  if (children_.empty()) return pass.backend.add(pass.stream, sum, dy, sum);
  for_each_in_backward(pass, dy, [&](UnaryLayer& layer, const Tensor& gradient, bool first) {
    if (!first) return layer.backward(pass, gradient);
    layer.add_backward(pass, gradient, sum);
    return Tensor();
  });
}

OnnxValue Sequential::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  OnnxValue y = x;
  for (const Child& child : children_) {
    onnx.enter(child.path);
    y = child.layer->to_onnx(onnx, y);
  }
  return y;
}

}  // namespace lockstep
