// Parallel: branches that all read the same input, their outputs joined side by side along the last
// axis (concat) or summed (add). Branch i's parameters are called "i.…".
#pragma once

#include "runtime/step/layer.h"

namespace lockstep {

class Parallel final : public UnaryLayer {
 public:
  enum class Join { kConcat, kAdd };
  // At least two branches; null stands for the identity.
  Parallel(std::vector<std::unique_ptr<UnaryLayer>> branches, Join join);

  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;

 private:
  struct Branch {
    std::unique_ptr<UnaryLayer> layer;
    Shape out;
    bool backward = false;   // gradients flow there
    std::int64_t first = 0;  // concat: its first column
    Tensor dy;               // its own part or copy, which it may overwrite
  };
  void build_branch(Build& build, Branch& branch, const std::string& name, const Shape& in);
  void check_shapes(const Build& build) const;

  std::vector<Branch> branches_;
  Join join_;
  Tensor y_;
};

}  // namespace lockstep
