#include "models/layers/parallel.h"

#include "runtime/step/onnx_export.h"

namespace lockstep {

namespace {

// Whether files order the columns of this flattened image (C, H, W) as memory does (H, W, C).
bool orders_agree(const Shape& image) {
  return image.rank() != 3 || image[2] == 1 || image[0] * image[1] == 1;
}

}  // namespace

Parallel::Parallel(std::vector<std::unique_ptr<UnaryLayer>> branches, Join join) : join_(join) {
  if (branches.size() < 2)
    throw Error("a parallel layer has at least two branches, not {}", branches.size());
  branches_.resize(branches.size());
  for (std::size_t i = 0; i < branches.size(); ++i) branches_[i].layer = std::move(branches[i]);
}

Shape Parallel::build(Build& build, const Shape& in) {
  const bool data_gradient = build.gradient_flows;
  const Shape flattened_image = build.flattened_image;
  bool any_backward = false;
  std::vector<Shape> images;
  GradientSlots& gradients = build.gradients();
  const GradientSlots::Slots before = gradients.busy();
  const std::size_t mark = gradients.mark();
  for (std::size_t i = 0; i < branches_.size(); ++i) {
    build.gradient_flows = data_gradient;
    build.flattened_image = flattened_image;
    // In backward the branches run one after another, while the sum of their dx stays.
    const GradientSlots::Hold hold(gradients, gradients.since(mark));
    gradients.set_busy(before);
    build_branch(build, branches_[i], std::to_string(i), in);
    any_backward = any_backward || build.gradient_flows;
    images.push_back(build.flattened_image);
  }
  GradientSlots::Slots busy = gradients.since(mark);
  busy.insert(before.begin(), before.end());
  gradients.set_busy(std::move(busy));
  build.gradient_flows = any_backward;
  check_shapes(build);

  Shape out = branches_[0].out;
  if (join_ == Join::kAdd) {
    for (const Shape& image : images) {
      if (image != images[0])
        throw Error("layer '{}' (parallel): one branch flattens an image, another does not",
                    build.path());
    }
  } else {
    for (const Shape& image : images) {
      if (!orders_agree(image))
        throw Error(
            "layer '{}' (parallel): a branch ends in the flattened image {}, whose columns files "
            "order otherwise; put the flatten layer behind the parallel one",
            build.path(), image.to_string());
    }
    build.flattened_image = {};
    std::int64_t columns = 0;
    for (Branch& branch : branches_) {
      branch.first = columns;
      columns += branch.out.back();
    }
    std::vector<std::int64_t> sizes(out.sizes().begin(), out.sizes().end());
    sizes.back() = columns;
    out = Shape(std::span<const std::int64_t>(sizes));
  }
  y_ = build.buffer(out);
  build.table.push_back({build.path(), join_ == Join::kAdd ? "add" : "concat", out});
  return out;
}

// All branches read x, so none may overwrite it.
void Parallel::build_branch(Build& build, Branch& branch, const std::string& name,
                            const Shape& in) {
  build.input_overwritable = false;
  branch.out = in;
  if (branch.layer != nullptr) {
    const Build::Scope scope(build, name);
    branch.out = branch.layer->build(build, in);
  }
  branch.backward = build.gradient_flows;
  if (branch.backward) branch.dy = build.buffer(branch.out);
}

void Parallel::check_shapes(const Build& build) const {
  const Shape& first = branches_[0].out;
  for (std::size_t i = 1; i < branches_.size(); ++i) {
    const Shape& other = branches_[i].out;
    bool fits = first.rank() == other.rank() && (join_ == Join::kAdd || first.rank() > 0);
    const int shared = first.rank() - (join_ == Join::kAdd ? 0 : 1);
    for (int axis = 0; fits && axis < shared; ++axis) fits = first[axis] == other[axis];
    if (!fits)
      throw Error("layer '{}' (parallel): branch 0 gives {}, branch {} gives {}; they must agree{}",
                  build.path(), first.to_string(), i, other.to_string(),
                  join_ == Join::kAdd ? "" : " but for the last axis");
  }
}

Tensor Parallel::forward(const Pass& pass, const Tensor& x) {
  Tensor y = y_.head(x.rows());
  Tensor sum;  // add: what has been summed so far
  for (Branch& branch : branches_) {
    const Tensor part = branch.layer != nullptr ? branch.layer->forward(pass, x) : x;
    if (join_ == Join::kConcat) {
      pass.backend.write_columns(pass.stream, branch.first, part, y);
    } else if (!sum) {
      sum = part;
    } else {
      pass.backend.add(pass.stream, sum, part, y);
      sum = y;
    }
  }
  return y;
}

Tensor Parallel::backward(const Pass& pass, const Tensor& dy) {
  for (Branch& branch : branches_) {
    if (!branch.backward) continue;
    Tensor own = branch.dy.head(dy.rows());
    if (join_ == Join::kConcat)
      pass.backend.read_columns(pass.stream, branch.first, dy, own);
    else
      pass.backend.copy_async(pass.stream, dy, own);
  }
  // Either all branches give a gradient of x or, where none flows to it, none does.
  Tensor dx;
  for (Branch& branch : branches_) {
    if (!branch.backward) continue;
    Tensor part = branch.dy.head(dy.rows());
    if (branch.layer != nullptr) part = branch.layer->backward(pass, part);
    if (!part) continue;
    if (dx)
      pass.backend.add(pass.stream, dx, part, dx);
    else
      dx = part;
  }
  return dx;
}

OnnxValue Parallel::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  const std::string path = onnx.path();
  std::vector<std::string> parts;
  std::int64_t columns = 0;
  for (const Branch& branch : branches_) {
    onnx.enter(path);
    parts.push_back(branch.layer != nullptr ? branch.layer->to_onnx(onnx, x).name : x.name);
    columns += branch.out.back();
  }
  onnx.enter(path);
  const Shape& first = branches_[0].out;
  if (join_ == Join::kAdd) {
    std::string sum = parts[0];
    for (std::size_t i = 1; i < parts.size(); ++i) sum = onnx.node("Add", {sum, parts[i]});
    return {sum, first};
  }
  std::vector<std::int64_t> sizes(first.sizes().begin(), first.sizes().end());
  sizes.back() = columns;
  return {onnx.node("Concat", parts, {{"axis", OnnxExport::channel_axis(first)}}),
          Shape(std::span<const std::int64_t>(sizes))};
}

}  // namespace lockstep
