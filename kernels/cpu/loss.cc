// Losses on the CPU back end. A row's loss is float32; the rows' are weighted and added in double,
// in row order.
#include "kernels/cpu/backend_impl.h"
#include "kernels/cpu/checks.h"
#include "kernels/cpu/vector_kernels.h"

namespace lockstep {

namespace {

float weight_of(const float* weights, std::int64_t row) {
  return weights ? weights[row] : 1.0f;
}

// Losses that are a mean over the K values of a row: `kernel` writes the loss of each value and,
// unless the gradient is null, its derivative.
template <typename Kernel>
void sum_row_means(const VectorKernels& vector, Kernel kernel, const float* x, const float* target,
                   const Tensor& sample_weight, std::int64_t rows, std::int64_t width,
                   float* losses, float* gradient, double* sums) {
  kernel(x, target, rows * width, losses, gradient);
  sums[0] = sums[1] = 0;
  const float* weights = cpu::optional_data(sample_weight);
  for (std::int64_t row = 0; row < rows; ++row) {
    const float weight = weight_of(weights, row);
    const double loss = vector.loss.sum(losses + row * width, width) / static_cast<double>(width);
    sums[0] += static_cast<double>(weight) * loss;
    sums[1] += static_cast<double>(weight);
    const float factor = weight / static_cast<float>(width);
    if (gradient && factor != 1.0f) vector.elementwise.scale(factor, gradient + row * width, width);
  }
}

struct RowsAndWidth {
  std::int64_t rows, width;
};

RowsAndWidth check_pair(const Tensor& x, const Tensor& sample_weight, const Tensor& dx) {
  cpu::check_type(x, DType::kFloat32, "the prediction");
  const std::int64_t rows = x.rows();
  if (sample_weight.defined()) cpu::check_count(sample_weight, rows, "sample_weight");
  if (dx.defined()) cpu::check_count(dx, x.elements(), "the gradient");
  return {rows, rows == 0 ? 1 : x.elements() / rows};
}

}  // namespace

void CpuBackend::softmax_cross_entropy(Stream& stream, const CrossEntropyOptions& options,
                                       const Tensor& logits, const Tensor& target,
                                       const Tensor& sample_weight, const Tensor& class_weight,
                                       Tensor& dlogits, Tensor& sums) {
  LOCKSTEP_CHECK(logits.shape().rank() == 2, "logits are {}, not (N, C)",
                 logits.shape().to_string());
  const std::int64_t rows = logits.rows(), classes = logits.shape()[1];
  double* totals = cpu::sums_data(sums);
  check_pair(logits, sample_weight, dlogits);
  if (class_weight.defined()) cpu::check_count(class_weight, classes, "class_weight");
  const bool by_label = target.dtype() == DType::kInt64;
  if (by_label)
    cpu::check_count(target, rows, "target", DType::kInt64);
  else
    cpu::check_shape(target, logits.shape(), "target");

  const float* class_weights = cpu::optional_data(class_weight);
  const float* sample_weights = cpu::optional_data(sample_weight);
  const float smoothing = options.label_smoothing, kept = 1.0f - smoothing;
  const float share = smoothing / static_cast<float>(classes);
  float* q = cpu::float_workspace(stream, classes);
  double loss_sum = 0, weight_sum = 0;

  for (std::int64_t row = 0; row < rows; ++row) {
    const float* x = logits.data<float>() + row * classes;
    float* gradient = dlogits.defined() ? dlogits.data<float>() + row * classes : nullptr;
    float weight = weight_of(sample_weights, row), loss = 0;
    if (by_label) {
      const std::int64_t label = target.data<std::int64_t>()[row];
      if (label == options.ignore_label) {
        if (gradient) vector_.elementwise.fill(0.0f, gradient, classes);
        continue;
      }
      if (label < 0 || label >= classes)
        throw Error("row {} of the batch has class {}, but the network has {} outputs", row, label,
                    classes);
      const float own = weight_of(class_weights, label);
      if (smoothing == 0) {
        loss = vector_.loss.cross_entropy_label(x, label, own, classes, weight, gradient);
      } else {
        for (std::int64_t c = 0; c < classes; ++c) q[c] = share * weight_of(class_weights, c);
        q[label] += kept * own;
        loss = vector_.loss.cross_entropy(x, q, classes, weight, gradient);
      }
      weight_sum += static_cast<double>(weight) * static_cast<double>(own);
    } else {
      const float* given = target.data<float>() + row * classes;
      for (std::int64_t c = 0; c < classes; ++c)
        q[c] = weight_of(class_weights, c) * (given[c] * kept + share);
      loss = vector_.loss.cross_entropy(x, q, classes, weight, gradient);
      weight_sum += static_cast<double>(weight);
    }
    loss_sum += static_cast<double>(weight) * static_cast<double>(loss);
  }
  totals[0] = loss_sum;
  totals[1] = weight_sum;
}

void CpuBackend::binary_cross_entropy(Stream& stream, const Tensor& logits, const Tensor& target,
                                      const Tensor& sample_weight, Tensor& dlogits, Tensor& sums) {
  const auto [rows, width] = check_pair(logits, sample_weight, dlogits);
  double* totals = cpu::sums_data(sums);
  float* losses = cpu::float_workspace(stream, 2 * rows * width);
  const float* given;
  if (target.dtype() == DType::kInt64) {
    LOCKSTEP_CHECK(width == 1, "integer targets need one output, not {}", width);
    cpu::check_count(target, rows, "target", DType::kInt64);
    float* converted = losses + rows;
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t label = target.data<std::int64_t>()[row];
      if (label != 0 && label != 1)
        throw Error("row {} of the batch has class {}; binary cross-entropy takes 0 and 1", row,
                    label);
      converted[row] = static_cast<float>(label);
    }
    given = converted;
  } else {
    cpu::check_count(target, logits.elements(), "target");
    given = target.data<float>();
  }
  sum_row_means(vector_, vector_.loss.binary_cross_entropy, logits.data<float>(), given,
                sample_weight, rows, width, losses, cpu::optional_data(dlogits), totals);
}

void CpuBackend::mean_squared_error(Stream& stream, const Tensor& prediction, const Tensor& target,
                                    const Tensor& sample_weight, Tensor& dprediction,
                                    Tensor& sums) {
  const auto [rows, width] = check_pair(prediction, sample_weight, dprediction);
  double* totals = cpu::sums_data(sums);
  cpu::check_count(target, prediction.elements(), "target");
  sum_row_means(vector_, vector_.loss.squared_error, prediction.data<float>(), target.data<float>(),
                sample_weight, rows, width, cpu::float_workspace(stream, rows * width),
                cpu::optional_data(dprediction), totals);
}

void CpuBackend::mean_absolute_error(Stream& stream, const Tensor& prediction, const Tensor& target,
                                     const Tensor& sample_weight, Tensor& dprediction,
                                     Tensor& sums) {
  const auto [rows, width] = check_pair(prediction, sample_weight, dprediction);
  double* totals = cpu::sums_data(sums);
  cpu::check_count(target, prediction.elements(), "target");
  sum_row_means(vector_, vector_.robust_loss.absolute, prediction.data<float>(),
                target.data<float>(), sample_weight, rows, width,
                cpu::float_workspace(stream, rows * width), cpu::optional_data(dprediction),
                totals);
}

void CpuBackend::huber(Stream& stream, const HuberOptions& options, const Tensor& prediction,
                       const Tensor& target, const Tensor& sample_weight, Tensor& dprediction,
                       Tensor& sums) {
  LOCKSTEP_CHECK(options.delta > 0, "Huber's delta is {}", options.delta);
  const auto [rows, width] = check_pair(prediction, sample_weight, dprediction);
  double* totals = cpu::sums_data(sums);
  cpu::check_count(target, prediction.elements(), "target");
  const auto kernel = [&](const float* x, const float* t, std::int64_t n, float* loss,
                          float* gradient) {
    vector_.robust_loss.huber(options.delta, x, t, n, loss, gradient);
  };
  sum_row_means(vector_, kernel, prediction.data<float>(), target.data<float>(), sample_weight,
                rows, width, cpu::float_workspace(stream, rows * width),
                cpu::optional_data(dprediction), totals);
}

void CpuBackend::hinge(Stream&, const HingeOptions& options, const Tensor& logits,
                       const Tensor& target, const Tensor& sample_weight, Tensor& dlogits,
                       Tensor& sums) {
  LOCKSTEP_CHECK(logits.shape().rank() == 2, "logits are {}, not (N, C)",
                 logits.shape().to_string());
  const std::int64_t rows = logits.rows(), outputs = logits.shape()[1];
  const std::int64_t classes = outputs == 1 ? 2 : outputs;
  double* totals = cpu::sums_data(sums);
  check_pair(logits, sample_weight, dlogits);
  cpu::check_count(target, rows, "target", DType::kInt64);
  const float* weights = cpu::optional_data(sample_weight);
  double loss_sum = 0, weight_sum = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* x = logits.data<float>() + row * outputs;
    float* gradient = dlogits.defined() ? dlogits.data<float>() + row * outputs : nullptr;
    const std::int64_t label = target.data<std::int64_t>()[row];
    if (label == options.ignore_label) {
      if (gradient) vector_.elementwise.fill(0.0f, gradient, outputs);
      continue;
    }
    if (label < 0 || label >= classes)
      throw Error("row {} of the batch has class {}, but there are {} classes", row, label,
                  classes);
    const float weight = weight_of(weights, row);
    float loss;
    if (outputs == 1) {
      const float sign = label == 1 ? 1.0f : -1.0f, margin = 1.0f - sign * x[0];
      const bool misses = !(margin <= 0);  // a NaN does
      loss = misses ? margin : 0.0f;
      if (gradient) gradient[0] = misses ? -sign * weight : 0.0f;
    } else {
      loss = vector_.robust_loss.hinge_label(x, label, classes, weight, gradient);
    }
    loss_sum += static_cast<double>(weight) * static_cast<double>(loss);
    weight_sum += static_cast<double>(weight);
  }
  totals[0] = loss_sum;
  totals[1] = weight_sum;
}

}  // namespace lockstep
