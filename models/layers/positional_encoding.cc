#include "models/layers/positional_encoding.h"

#include <cmath>

#include "io/dataset/dataset.h"
#include "runtime/step/onnx_export.h"

namespace lockstep {

namespace {

// Taylor series, sums and products alone: C libraries round sin, cos and exp in different ways.
double sine(double x) {  // of x in [-π, π]
  double term = x, sum = x;
  for (int n = 2; n < 40; n += 2) {
    term *= -x * x / (n * (n + 1));
    sum += term;
  }
  return sum;
}

double cosine(double x) {  // of x in [-π, π]
  double term = 1, sum = 1;
  for (int n = 1; n < 40; n += 2) {
    term *= -x * x / (n * (n + 1));
    sum += term;
  }
  return sum;
}

double exponential(double x) {  // of x in [-10, 0]: (e^(x / 64))^64
  double term = 1, sum = 1;
  for (int n = 1; n < 20; ++n) {
    term *= x / 64 / n;
    sum += term;
  }
  for (int i = 0; i < 6; ++i) sum *= sum;
  return sum;
}

constexpr double kTurn = 6.283185307179586477;
constexpr double kLog10000 = 9.210340371976182736;

}  // namespace

Tensor sinusoidal_rows(std::int64_t tokens, std::int64_t width) {
  Tensor rows = host_tensor({tokens, width}, DType::kFloat32);
  float* value = rows.data<float>();
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (std::int64_t c = 0; c < width; ++c) {
      const double share = static_cast<double>(c / 2 * 2) / static_cast<double>(width);
      // remainder is exact, and leaves what the series converges fast on: [-π, π].
      const double angle =
          std::remainder(static_cast<double>(t) * exponential(-share * kLog10000), kTurn);
      *value++ = static_cast<float>(c % 2 == 0 ? sine(angle) : cosine(angle));
    }
  }
  return rows;
}

Shape PositionalEncoding::build(Build& build, const Shape& in) {
  if (in.rank() != 2)
    throw Error("layer '{}' (positions) takes sequences (T, C), not {}", build.path(),
                in.to_string());
  data_gradient_ = build.gradient_flows;
  if (!build.input_overwritable) y_ = build.buffer(in);
  if (kind_ == PositionKind::kLearned) {
    ParamSpec weight;
    weight.file_shape = in;
    weight.initializer = normal_values(0, 0.02);
    weight_ = build.param("weight", weight);
  } else {
    rows_ = build.fixed_buffer(in);
    build.backend().copy(sinusoidal_rows(in[0], in[1]), rows_);
  }
  build.table.push_back(
      {build.path(), "positions", in, kind_ == PositionKind::kLearned ? in.elements() : 0});
  return in;
}

Tensor PositionalEncoding::forward(const Pass& pass, const Tensor& x) {
  Tensor y = y_ ? y_.head(x.rows()) : x;
  pass.backend.add_row(pass.stream, x, weight_ != nullptr ? weight_->value : rows_, y);
  return y;
}

Tensor PositionalEncoding::backward(const Pass& pass, const Tensor& dy) {
  if (weight_ != nullptr) {
    pass.backend.sum_rows(pass.stream, dy, weight_->grad);
    pass.ready(weight_);
  }
  return data_gradient_ ? dy : Tensor();
}

OnnxValue PositionalEncoding::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  if (weight_ != nullptr) return {onnx.node("Add", {x.name, onnx.param(*weight_)}), x.sample};
  const Tensor rows = sinusoidal_rows(x.sample[0], x.sample[1]);
  const std::vector<float> values(rows.span<float>().begin(), rows.span<float>().end());
  const std::string constant = onnx.constant(onnx.path() + "/positions", values, x.sample);
  return {onnx.node("Add", {x.name, constant}), x.sample};
}

}  // namespace lockstep
