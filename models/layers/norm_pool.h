// NormMaxPool: y = max_pool(relu(batch_norm(x))), the stem of a ResNet, in one operation that never
// stores the large maps between. Where the statistics are frozen, the two layers run in turn.
#pragma once

#include "models/layers/batch_norm.h"
#include "models/layers/pool.h"

namespace lockstep {

class NormMaxPool final : public UnaryLayer {
 public:
  NormMaxPool(std::string norm_name, const PoolOptions& pool, std::string pool_name);

  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  bool keeps_output() const override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;

 private:
  BatchNorm norm_;
  MaxPool2d pool_;
  std::string norm_name_, pool_name_, norm_path_, pool_path_;
};

}  // namespace lockstep
