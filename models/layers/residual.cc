#include "models/layers/residual.h"

#include "runtime/step/onnx_export.h"

namespace lockstep {

Residual::Residual(std::unique_ptr<UnaryLayer> main, std::unique_ptr<UnaryLayer> shortcut)
    : Residual({std::move(main), "main"}, {std::move(shortcut), "shortcut"}) {}

Residual::Residual(Branch main, Branch shortcut)
    : main_(std::move(main)), shortcut_(std::move(shortcut)) {
  LOCKSTEP_CHECK(main_.layer != nullptr, "a residual block needs a main branch");
}

Residual::Residual(Branch main, Branch shortcut, std::unique_ptr<BatchNorm> norm,
                   std::string norm_name)
    : Residual(std::move(main), std::move(shortcut)) {
  norm_ = std::move(norm);
  norm_name_ = std::move(norm_name);
  norm_->end_with_relu();
}

Shape Residual::build(Build& build, const Shape& in) {
  const bool data_gradient = build.gradient_flows;
  const Shape flattened_image = build.flattened_image;
  // Both branches read x, so neither may overwrite it.
  const auto build_branch = [&](Branch& branch, bool& backward) {
    build.gradient_flows = data_gradient;
    build.flattened_image = flattened_image;
    build.input_overwritable = false;
    Shape out = in;
    if (branch.layer != nullptr) {
      const Build::Scope scope(build, branch.name);
      out = branch.layer->build(build, in);
      if (&branch == &main_) layer_backward_ = build.gradient_flows;
      if (&branch == &main_ && norm_ != nullptr) {
        const Build::Scope norm_scope(build, norm_name_);
        norm_path_ = build.path();
        out = norm_->build(build, out);
      }
    }
    backward = build.gradient_flows;
    return out;
  };
  // In backward the main branch runs first; its dx waits for the shortcut's, which begins with the
  // copy of dy and ends, as the main branch does, before the layer that gave x.
  GradientSlots& gradients = build.gradients();
  const GradientSlots::Slots before = gradients.busy();
  const std::size_t mark = gradients.mark();
  const Shape out = build_branch(main_, main_backward_);
  const Shape flattened_by_main = build.flattened_image;
  GradientSlots::Slots busy = gradients.busy();
  const std::size_t shortcut_mark = gradients.mark();
  Shape shortcut_out;
  {
    const GradientSlots::Hold hold(gradients, gradients.first_since(mark));
    gradients.set_busy(before);
    shortcut_out = build_branch(shortcut_, shortcut_backward_);
  }
  if (out != shortcut_out) {
    throw Error("layer '{}' (residual): the main branch gives {}, the shortcut {}; they must agree",
                build.path(), out.to_string(), shortcut_out.to_string());
  }
  if (flattened_by_main != build.flattened_image) {
    throw Error("layer '{}' (residual): one branch flattens an image, the other does not",
                build.path());
  }
  build.gradient_flows = main_backward_ || shortcut_backward_;
  if (main_.layer->keeps_output() && norm_ == nullptr) y_ = build.buffer(out);
  if ((main_backward_ || norm_ != nullptr) && shortcut_backward_)
    dy_copy_ = build.gradient_copy(out, mark);
  busy.merge(gradients.since(shortcut_mark));
  gradients.set_busy(std::move(busy));
  return out;
}

Tensor Residual::forward(const Pass& pass, const Tensor& x) {
  const Tensor shortcut = shortcut_.layer != nullptr ? shortcut_.layer->forward(pass, x) : x;
  if (pass.joins_layers()) {
    Epilogue end;
    if (norm_ != nullptr) end = norm_->as_epilogue().value();
    end.residual = shortcut;
    if (main_.layer->takes(end)) return main_.layer->forward_with(pass, x, end);
  }
  const Tensor main = main_.layer->forward(pass, x);
  if (norm_ != nullptr) return norm_->forward(pass, main, shortcut);
  Tensor y = y_ ? y_.head(x.rows()) : main;
  pass.backend.add(pass.stream, main, shortcut, y);
  return y;
}

Tensor Residual::backward(const Pass& pass, const Tensor& dy) {
  Tensor shortcut_dy = dy;
  if (dy_copy_) shortcut_dy = dy_copy_.head(dy.rows());
  Tensor dx, none;
  const bool onto_copy = shortcut_.layer == nullptr && dy_copy_ && layer_backward_;
  if (norm_ != nullptr) {
    dx = norm_->backward(pass, dy, dy_copy_ ? shortcut_dy : none);
    if (onto_copy) {
      main_.layer->add_backward(pass, dx, shortcut_dy);
      return shortcut_dy;
    }
    if (layer_backward_) dx = main_.layer->backward(pass, dx);
    return backward_to_x(pass, dx, shortcut_dy);
  }
  if (dy_copy_) pass.backend.copy_async(pass.stream, dy, shortcut_dy);
  if (onto_copy) {
    main_.layer->add_backward(pass, dy, shortcut_dy);
    return shortcut_dy;
  }
  if (main_backward_) dx = main_.layer->backward(pass, dy);
  return backward_to_x(pass, dx, shortcut_dy);
}

// dx: the main branch's.
Tensor Residual::backward_to_x(const Pass& pass, Tensor dx, const Tensor& shortcut_dy) {
  Tensor shortcut_dx;
  if (shortcut_backward_) {
    shortcut_dx =
        shortcut_.layer != nullptr ? shortcut_.layer->backward(pass, shortcut_dy) : shortcut_dy;
  }
  // Either both branches give a gradient of x or, where none flows to it, neither.
  if (dx && shortcut_dx) pass.backend.add(pass.stream, dx, shortcut_dx, dx);
  return dx;
}

OnnxValue Residual::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  const std::string path = onnx.path();
  const OnnxValue main = main_.layer->to_onnx(onnx, x);
  onnx.enter(path);
  const OnnxValue shortcut = shortcut_.layer != nullptr ? shortcut_.layer->to_onnx(onnx, x) : x;
  if (norm_ != nullptr) {
    onnx.enter(norm_path_);
    const OnnxValue y = norm_->to_onnx(onnx, main, shortcut);
    onnx.enter(path);
    return y;
  }
  onnx.enter(path);
  return {onnx.node("Add", {main.name, shortcut.name}), main.sample};
}

}  // namespace lockstep
