// Residual: y = main(x) + shortcut(x), where no shortcut stands for x itself. Parameters are called
// "main.…" and "shortcut.…" unless other names are given (an empty name opens no scope).
#pragma once

#include "runtime/step/layer.h"

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

  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;

 private:
  Branch main_, shortcut_;
  bool main_backward_ = false, shortcut_backward_ = false;  // gradients flow there
  Tensor y_;        // undefined where the sum is written over the main branch's output
  Tensor dy_copy_;  // the main branch may overwrite dy before the shortcut sees it
};

}  // namespace lockstep
