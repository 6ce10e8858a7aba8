// Conv2d: cross-correlation over images (H, W, C). Parameters "weight" (out, in / groups, kernel_h,
// kernel_w) and "bias" (out), as torch.nn.Conv2d, initialised as PyTorch does unless told
// otherwise.
#pragma once

#include <optional>

#include "models/layers/packed_weights.h"

namespace lockstep {

struct Conv2dOptions {
  std::int64_t out_channels = 0;
  std::int64_t kernel_h = 3, kernel_w = 3;
  std::int64_t stride_h = 1, stride_w = 1, pad_h = 0, pad_w = 0;
  std::int64_t dilation_h = 1, dilation_w = 1, groups = 1;
  bool bias = true;
  // Null: PyTorch's. The file's shape is (out, in / groups, kernel_h, kernel_w).
  Initializer (*weight_values)(const Shape& file_shape, std::int64_t groups) = nullptr;
  std::optional<Initializer> bias_values = {};

  static Conv2dOptions square(std::int64_t out_channels, std::int64_t kernel, std::int64_t pad = 0,
                              std::int64_t stride = 1);
};

class Conv2d final : public UnaryLayer {
 public:
  explicit Conv2d(const Conv2dOptions& options);

  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  bool takes(const Epilogue&) const override { return true; }
  Tensor forward_with(const Pass& pass, const Tensor& x, const Epilogue& epilogue) override;
  using UnaryLayer::backward;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  void add_backward(const Pass& pass, const Tensor& dy, Tensor& sum) override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;

 private:
  // dx may be undefined; add: to what it holds.
  void backward(const Pass& pass, const Tensor& dy, bool add, Tensor& dx);
  void check_geometry(const std::string& path) const;

  Conv2dOptions options_;
  ConvGeometry geometry_;
  bool has_bias_;
  Param* weight_ = nullptr;
  Param* bias_ = nullptr;
  PackedWeights packed_forward_, packed_backward_;
  Tensor x_, y_, dx_;  // dx_ undefined: no gradient flows to the input
};

}  // namespace lockstep
