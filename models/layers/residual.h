// Residual: y = main(x) + shortcut(x), where no shortcut stands for x itself. Parameters are called
// "main.…" and "shortcut.…" unless other names are given (an empty name opens no scope). With a
// closing norm, y = relu(norm(main(x)) + shortcut(x)) in one operation.
#pragma once

#include "models/layers/batch_norm.h"

namespace lockstep {

class Residual final : public UnaryLayer {
 public:
  struct Branch {
    std::unique_ptr<UnaryLayer> layer;  // null: the identity (of the shortcut alone)
    std::string name;
  };
  explicit Residual(std::unique_ptr<UnaryLayer> main,
                    std::unique_ptr<UnaryLayer> shortcut = nullptr);
  Residual(Branch main, Branch shortcut);
  // norm: of the main branch's end, where its name stands.
  Residual(Branch main, Branch shortcut, std::unique_ptr<BatchNorm> norm, std::string norm_name);

  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;

 private:
  Tensor backward_to_x(const Pass& pass, Tensor dx, const Tensor& shortcut_dy);

  Branch main_, shortcut_;
  std::unique_ptr<BatchNorm> norm_;  // may be null
  std::string norm_name_, norm_path_;
  bool main_backward_ = false, shortcut_backward_ = false;  // gradients flow there
  bool layer_backward_ = false;  // into the main branch's layer, before the norm
  Tensor y_;                     // undefined where the sum is written over the main branch's output
  Tensor dy_copy_;               // the main branch may overwrite dy before the shortcut sees it
};

}  // namespace lockstep
