// Sequential: layers one after another, each under a name of its own: its parameters are called
// "name.weight", as in torch.nn.Sequential (whose unnamed layers are "0", "1", ...).
#pragma once

#include "runtime/step/layer.h"

namespace lockstep {

class Sequential final : public UnaryLayer {
 public:
  // Before build. An empty name is the layer's place: "0", "1", ... `origin` is where the layer was
  // written, if a file says so; Errors of its build() begin with it.
  void add(std::unique_ptr<UnaryLayer> layer, std::string name = {}, std::string origin = {});
  // A layer whose parameters are called "weight", not "name.weight".
  void add_unscoped(std::unique_ptr<UnaryLayer> layer, std::string name = {});
  template <typename L, typename... Arguments>
  void add_named(std::string name, Arguments&&... arguments) {
    add(std::make_unique<L>(std::forward<Arguments>(arguments)...), std::move(name));
  }

  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  bool takes(const Epilogue& epilogue) const override;
  Tensor forward_with(const Pass& pass, const Tensor& x, const Epilogue& epilogue) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  void add_backward(const Pass& pass, const Tensor& dy, Tensor& sum) override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;
  bool keeps_output() const override { return keeps_output_; }
  DType input_type() const override;

 private:
  struct Child;
  // Calls visit(child, gradient of its output, whether it is the first), from the last child on.
  template <typename Visit>
  void for_each_in_backward(const Pass& pass, const Tensor& dy, const Visit& visit);
  // Each child with those behind it that can be its epilogue; `after` follows the last.
  Tensor forward_joined(const Pass& pass, const Tensor& x, const Epilogue& after);
  // The children from `first` on that one operation can do: the end of their range, and what
  // follows the first of them.
  std::size_t join(std::size_t first, Epilogue& epilogue) const;
  static Shape build_child(Child& child, Build& build, const Shape& in);

  struct Child {
    std::string name;
    std::unique_ptr<UnaryLayer> layer;
    std::string origin;
    std::string scope;  // of its parameters' names
    std::string path;   // in the whole network
  };
  std::vector<Child> children_;
  // The first child that lies behind a parameter or holds one: backward ends there.
  std::size_t lowest_in_backward_ = 0;
  bool data_gradient_ = false;
  bool keeps_output_ = true;
};

}  // namespace lockstep
