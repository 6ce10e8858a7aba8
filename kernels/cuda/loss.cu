// Losses that are a mean over the values of a row, and the hinge: a warp a row, loss and gradient
// at once.
#include "kernels/cuda/row_sums.h"

namespace lockstep {

namespace gpu {
namespace {

// Of one value: its loss, and the derivative of that.
struct Term {
  float loss, slope;
};

// max(x, 0) - x t + log (1 + e^-|x|), and sigmoid(x) - t
struct BinaryCrossEntropy {
  __device__ Term operator()(float x, float t) const {
    const float positive = x < 0.0f ? 0.0f : x;
    return {fmaf(-x, t, positive + log1pf(expf(-fabsf(x)))), 1.0f / (1.0f + expf(-x)) - t};
  }
};

struct SquaredError {
  __device__ Term operator()(float p, float t) const {
    const float error = p - t;
    return {error * error, error + error};
  }
};

// |p - t|, and the sign of p - t, which is 0 where they are equal
struct AbsoluteError {
  __device__ Term operator()(float p, float t) const {
    const float error = p - t;
    float sign = error;  // 0 or NaN
    if (error > 0.0f) sign = 1.0f;
    if (error < 0.0f) sign = -1.0f;
    return {fabsf(error), sign};
  }
};

// e² / 2 where |e| <= delta, delta (|e| - delta / 2) elsewhere; e cut off at ±delta
struct Huber {
  float delta;
  __device__ Term operator()(float p, float t) const {
    const float error = p - t, size = fabsf(error);
    float slope = error;  // NaN stays
    if (error > delta) slope = delta;
    if (error < -delta) slope = -delta;
    return {size <= delta ? 0.5f * (size * size) : delta * (size - 0.5f * delta), slope};
  }
};

template <typename T, typename Function>
struct RowMean {
  static constexpr int kPack = gpu::kPack<T>;
  Function function;
  const T* x;
  const float* target;  // or labels, 0 and 1, where a row has one value
  const std::int64_t* labels;
  const float* sample_weights;  // may be null
  T* gradient;                  // may be null
  std::int64_t width;
  FaultSlot fault;  // of labels

  __device__ RowResult operator()(std::int64_t row, bool aligned) const {
    const float weight = sample_weights != nullptr ? sample_weights[row] : 1.0f;
    const float factor = weight / static_cast<float>(width);
    double loss = 0;
    for_lane_packs<kPack>(width, aligned, [&](std::int64_t start, std::int64_t count, bool whole) {
      const std::int64_t at = row * width + start;
      float values[kPack], targets[kPack] = {};
      load_some<kPack>(x + at, count, whole, values);
      if (labels == nullptr) {
        load_some<kPack>(target + at, count, whole, targets);
      } else {
        targets[0] = static_cast<float>(labels[row]);
        if (labels[row] != 0 && labels[row] != 1) report_fault(fault, row, labels[row]);
      }
#pragma unroll
      for (int i = 0; i < kPack; ++i) {
        if (i >= count) continue;
        const Term term = function(values[i], targets[i]);
        loss += static_cast<double>(term.loss);
        values[i] = factor == 1.0f ? term.slope : term.slope * factor;
      }
      if (gradient != nullptr) store_some<kPack>(gradient + at, count, whole, values);
    });
    loss = warp_sum(loss) / static_cast<double>(width);
    return {static_cast<double>(weight) * loss, static_cast<double>(weight)};
  }
};

// Margins are 1 - x_label + x_c. Each that is above 0 pulls x_c down and x_label up by 1 / classes.
// One output: max(0, 1 ∓ x).
template <typename T>
struct Hinge {
  static constexpr int kPack = gpu::kPack<T>;
  const T* logits;
  const std::int64_t* labels;
  const float* sample_weights;
  T* gradient;
  std::int64_t outputs, ignore_label;
  FaultSlot fault;

  __device__ RowResult operator()(std::int64_t row, bool aligned) const {
    const std::int64_t label = labels[row], classes = outputs == 1 ? 2 : outputs;
    const bool known = label >= 0 && label < classes;
    const bool counted = label != ignore_label && known;
    if (label != ignore_label && !known && threadIdx.x % kWarp == 0)
      report_fault(fault, row, label);
    const T* const x = logits + row * outputs;
    const float weight = sample_weights != nullptr ? sample_weights[row] : 1.0f;
    const float own = counted && outputs > 1 ? load(x + label) : 0.0f;
    const float sign = label == 1 ? 1.0f : -1.0f;
    const auto size = static_cast<float>(outputs);
    const float share = weight / size;
    float loss = 0, misses = 0;
    for_lane_packs<kPack>(
        outputs, aligned, [&](std::int64_t start, std::int64_t count, bool whole) {
          float values[kPack];
          load_some<kPack>(x + start, count, whole, values);
#pragma unroll
          for (int i = 0; i < kPack; ++i) {
            const bool compared = counted && i < count && (outputs == 1 || start + i != label);
            const float margin = outputs == 1 ? 1.0f - sign * values[i] : 1.0f - own + values[i];
            const bool missed = compared && !(margin <= 0.0f);  // a NaN is seen
            if (missed) {
              loss += margin;
              misses += 1.0f;
            }
            values[i] = missed ? (outputs == 1 ? -sign * weight : share) : 0.0f;
          }
          if (gradient != nullptr)
            store_some<kPack>(gradient + row * outputs + start, count, whole, values);
        });
    if (!counted) return {0, 0};
    loss = warp_sum(loss) / size;
    misses = warp_sum(misses);
    // By the lane that has stored the pack around it.
    const auto lane_of_label = static_cast<unsigned>(label / kPack % kWarp);
    if (gradient != nullptr && outputs > 1 && threadIdx.x % kWarp == lane_of_label)
      store(gradient + row * outputs + label, -share * misses);
    return {static_cast<double>(weight) * static_cast<double>(loss), static_cast<double>(weight)};
  }
};

struct RowsAndWidth {
  std::int64_t rows, width;
};

RowsAndWidth check_pair(const Tensor& x, const Tensor& sample_weight, const Tensor& dx) {
  const std::int64_t rows = x.rows();
  if (sample_weight.defined()) check_count(sample_weight, rows, "sample_weight");
  if (dx.defined()) check_count(dx, x.elements(), "the gradient", x.dtype());
  return {rows, rows == 0 ? 1 : x.elements() / rows};
}

// target: float32 of x's size, or int64 of one value a row.
template <typename Function>
void sum_row_means(Stream& stream, const char* name, const Function& function, const Tensor& x,
                   const Tensor& target, const Tensor& sample_weight, Tensor& dx, Tensor& sums) {
  const auto [rows, width] = check_pair(x, sample_weight, dx);
  const bool by_label = target.dtype() == DType::kInt64;
  if (!by_label) check_count(target, x.elements(), "target");
  const auto message = [](const gpu::Fault& fault) {
    return fmt::format("row {} of the batch has class {}; binary cross-entropy takes 0 and 1",
                       fault.place, fault.value);
  };
  const FaultSlot fault =
      by_label ? cuda_stream(stream).fault_slot(FaultKind::kBinaryCrossEntropy, message) : nullptr;
  for_element_type(x, "the prediction", [&]<typename T>(T) {
    constexpr int N = kPack<T>;
    const RowMean<T, Function> row{.function = function,
                                   .x = x.data<T>(),
                                   .target = by_label ? nullptr : target.data<float>(),
                                   .labels = by_label ? target.data<std::int64_t>() : nullptr,
                                   .sample_weights = optional_data<float>(sample_weight),
                                   .gradient = optional_data<T>(dx),
                                   .width = width,
                                   .fault = fault};
    sum_rows_to_host(stream, name, row, rows, width,
                     all_aligned<N, T>({&x, &dx}) && (by_label || all_aligned<N, float>({&target})),
                     sums);
  });
}

}  // namespace
}  // namespace gpu

void CudaBackend::binary_cross_entropy(Stream& stream, const Tensor& logits, const Tensor& target,
                                       const Tensor& sample_weight, Tensor& dlogits, Tensor& sums) {
  if (target.dtype() == DType::kInt64) {
    const std::int64_t rows = logits.rows();
    LOCKSTEP_CHECK(logits.elements() == rows, "integer targets need one output, logits are {}",
                   logits.shape().to_string());
    gpu::check_count(target, rows, "target", DType::kInt64);
  }
  gpu::sum_row_means(stream, "binary_cross_entropy", gpu::BinaryCrossEntropy{}, logits, target,
                     sample_weight, dlogits, sums);
}

void CudaBackend::mean_squared_error(Stream& stream, const Tensor& prediction, const Tensor& target,
                                     const Tensor& sample_weight, Tensor& dprediction,
                                     Tensor& sums) {
  gpu::check_count(target, prediction.elements(), "target");
  gpu::sum_row_means(stream, "mean_squared_error", gpu::SquaredError{}, prediction, target,
                     sample_weight, dprediction, sums);
}

void CudaBackend::mean_absolute_error(Stream& stream, const Tensor& prediction,
                                      const Tensor& target, const Tensor& sample_weight,
                                      Tensor& dprediction, Tensor& sums) {
  gpu::check_count(target, prediction.elements(), "target");
  gpu::sum_row_means(stream, "mean_absolute_error", gpu::AbsoluteError{}, prediction, target,
                     sample_weight, dprediction, sums);
}

void CudaBackend::huber(Stream& stream, const HuberOptions& options, const Tensor& prediction,
                        const Tensor& target, const Tensor& sample_weight, Tensor& dprediction,
                        Tensor& sums) {
  LOCKSTEP_CHECK(options.delta > 0, "Huber's delta is {}", options.delta);
  gpu::check_count(target, prediction.elements(), "target");
  gpu::sum_row_means(stream, "huber", gpu::Huber{options.delta}, prediction, target, sample_weight,
                     dprediction, sums);
}

void CudaBackend::hinge(Stream& stream, const HingeOptions& options, const Tensor& logits,
                        const Tensor& target, const Tensor& sample_weight, Tensor& dlogits,
                        Tensor& sums) {
  LOCKSTEP_CHECK(logits.shape().rank() == 2, "logits are {}, not (N, C)",
                 logits.shape().to_string());
  const std::int64_t rows = logits.rows(), outputs = logits.shape()[1];
  gpu::check_pair(logits, sample_weight, dlogits);
  gpu::check_count(target, rows, "target", DType::kInt64);
  const auto message = [classes = outputs == 1 ? 2 : outputs](const gpu::Fault& fault) {
    return fmt::format("row {} of the batch has class {}, but there are {} classes", fault.place,
                       fault.value, classes);
  };
  gpu::for_element_type(logits, "logits", [&]<typename T>(T) {
    const gpu::Hinge<T> row{
        .logits = logits.data<T>(),
        .labels = target.data<std::int64_t>(),
        .sample_weights = gpu::optional_data<float>(sample_weight),
        .gradient = gpu::optional_data<T>(dlogits),
        .outputs = outputs,
        .ignore_label = options.ignore_label,
        .fault = cuda_stream(stream).fault_slot(gpu::FaultKind::kHinge, message)};
    gpu::sum_rows_to_host(stream, "hinge", row, rows, outputs,
                          gpu::all_aligned<gpu::kPack<T>, T>({&logits, &dlogits}), sums);
  });
}

}  // namespace lockstep
