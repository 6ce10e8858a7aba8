// Pooling over images (H, W, C): the largest value or the average of a window, and the average of
// the whole image (H, W, C) -> (C).
#pragma once

#include "runtime/step/layer.h"

namespace lockstep {

struct PoolOptions {
  std::int64_t kernel_h = 2, kernel_w = 2;
  std::int64_t stride_h = 2, stride_w = 2;
  std::int64_t pad_h = 0, pad_w = 0;
  bool count_include_pad = true;  // average pooling alone; PyTorch's default

  static PoolOptions square(std::int64_t kernel, std::int64_t stride, std::int64_t pad = 0);
};

class MaxPool2d final : public UnaryLayer {
 public:
  explicit MaxPool2d(const PoolOptions& options = {});
  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;

  // For a layer whose operation pools as well: what build() does without dx, the windows, and the
  // memory of the result.
  struct Result {
    Tensor y, argmax;
  };
  Shape build_within(Build& build, const Shape& in);
  const PoolGeometry& geometry() const { return geometry_; }
  Result result(std::int64_t rows) const { return {y_.head(rows), argmax_.head(rows)}; }

 private:
  PoolOptions options_;
  PoolGeometry geometry_;
  Tensor y_, argmax_, dx_;  // dx_ undefined: no gradient flows to the input
};

class AvgPool2d final : public UnaryLayer {
 public:
  explicit AvgPool2d(const PoolOptions& options = {});
  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;

 private:
  PoolOptions options_;
  PoolGeometry geometry_;
  Tensor y_, dx_;
};

class GlobalAvgPool2d final : public UnaryLayer {
 public:
  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;

 private:
  Tensor y_, dx_;
};

}  // namespace lockstep
