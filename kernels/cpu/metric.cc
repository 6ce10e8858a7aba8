// Metrics on the CPU back end. They run in evaluation alone, a few operations a row. A NaN counts
// as the largest value, as in PyTorch, so that a network that makes them does not look right.
#include <cmath>

#include "kernels/cpu/backend_impl.h"
#include "kernels/cpu/checks.h"
#include "kernels/cpu/vector_kernels.h"

namespace lockstep {

namespace {

bool ranks_above(float a, float b) {
  return a > b || (std::isnan(a) && !std::isnan(b));
}

bool among_largest(const float* logits, std::int64_t classes, std::int64_t label, std::int64_t k) {
  const float own = logits[label];
  if (std::isnan(own)) return false;
  std::int64_t above = 0;
  for (std::int64_t c = 0; c < classes; ++c)
    above += ranks_above(logits[c], own) || (logits[c] == own && c < label);
  return above < k;
}

}  // namespace

void CpuBackend::argmax(Stream&, const Tensor& x, Tensor& index) {
  cpu::check_type(x, DType::kFloat32, "x");
  const std::int64_t classes = x.shape().back();
  LOCKSTEP_CHECK(classes > 0, "argmax over no values: x is {}", x.shape().to_string());
  const std::int64_t rows = x.elements() / classes;
  cpu::check_count(index, rows, "index", DType::kInt64);
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* values = x.data<float>() + row * classes;
    std::int64_t best = 0;
    for (std::int64_t c = 1; c < classes; ++c)
      if (ranks_above(values[c], values[best])) best = c;
    index.data<std::int64_t>()[row] = best;
  }
}

void CpuBackend::top_k_correct(Stream&, std::int64_t k, std::int64_t ignore_label,
                               const Tensor& logits, const Tensor& target, Tensor& sums) {
  cpu::check_type(logits, DType::kFloat32, "logits");
  double* totals = cpu::sums_data(sums);
  LOCKSTEP_CHECK(k > 0, "the {} largest", k);
  const std::int64_t rows = logits.rows();
  const std::int64_t classes = rows == 0 ? 1 : logits.elements() / rows;
  cpu::check_count(target, rows, "target", DType::kInt64);
  std::int64_t right = 0, counted = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t label = target.data<std::int64_t>()[row];
    if (label == ignore_label) continue;
    const std::int64_t limit = classes == 1 ? 2 : classes;  // one logit tells two classes apart
    if (label < 0 || label >= limit)
      throw Error("row {} of the batch has class {}, but the network tells {} apart", row, label,
                  limit);
    const float* values = logits.data<float>() + row * classes;
    ++counted;
    if (classes == 1)
      right += !std::isnan(*values) && (*values > 0) == (label == 1);
    else
      right += among_largest(values, classes, label, k);
  }
  totals[0] = static_cast<double>(right);
  totals[1] = static_cast<double>(counted);
}

void CpuBackend::regression_errors(Stream& stream, const Tensor& prediction, const Tensor& target,
                                   Tensor& sums) {
  cpu::check_type(prediction, DType::kFloat32, "prediction");
  double* totals = cpu::sums_data(sums);
  cpu::check_count(target, prediction.elements(), "target");
  const std::int64_t rows = prediction.rows();
  const std::int64_t width = rows == 0 ? 1 : prediction.elements() / rows;
  float* errors = cpu::float_workspace(stream, width);
  double squared = 0, absolute = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* p = prediction.data<float>() + row * width;
    const float* t = target.data<float>() + row * width;
    vector_.loss.squared_error(p, t, width, errors, nullptr);
    squared += vector_.loss.sum(errors, width) / static_cast<double>(width);
    vector_.loss.absolute_error(p, t, width, errors);
    absolute += vector_.loss.sum(errors, width) / static_cast<double>(width);
  }
  totals[0] = squared;
  totals[1] = absolute;
}

}  // namespace lockstep
