// Softmax cross-entropy: loss and gradient at once, a warp a row.
#include <cmath>

#include "kernels/cuda/row_sums.h"

namespace lockstep {

namespace gpu {
namespace {

// -log softmax(x)[c] = log Σ e^(x - max) - (x[c] - max); the gradient of Σ q (-log softmax) is
// (Σ q) softmax - q. A class with q = 0 adds nothing, even where its logit is -inf.
template <typename T>
struct CrossEntropy {
  static constexpr int kPack = gpu::kPack<T>;
  const T* logits;
  const std::int64_t* labels;  // or probabilities (rows, classes)
  const float* probabilities;
  const float *sample_weights, *class_weights;  // may be null
  T* gradient;                                  // may be null
  std::int64_t classes, ignore_label;
  float kept, share;  // of the target and of every class: 1 - smoothing, smoothing / classes
  FaultSlot fault;

  __device__ float class_weight(std::int64_t c) const {
    return class_weights != nullptr ? class_weights[c] : 1.0f;
  }
  __device__ float target(std::int64_t row, std::int64_t label, std::int64_t c) const {
    if (labels == nullptr)
      return class_weight(c) * (probabilities[row * classes + c] * kept + share);
    const float smooth = share * class_weight(c);
    return c == label ? smooth + kept * class_weight(c) : smooth;
  }
  __device__ RowResult no_loss(std::int64_t row, bool aligned) const {
    if (gradient == nullptr) return {0, 0};
    for_lane_packs<kPack>(
        classes, aligned, [&](std::int64_t start, std::int64_t count, bool whole) {
          const float zeros[kPack] = {};
          store_some<kPack>(gradient + row * classes + start, count, whole, zeros);
        });
    return {0, 0};
  }

  __device__ RowResult operator()(std::int64_t row, bool aligned) const {
    std::int64_t label = 0;
    if (labels != nullptr) {
      label = labels[row];
      if (label != ignore_label && (label < 0 || label >= classes)) {
        if (threadIdx.x % kWarp == 0) report_fault(fault, row, label);
        return no_loss(row, aligned);
      }
      if (label == ignore_label) return no_loss(row, aligned);
    }
    const T* const x = logits + row * classes;
    const float weight = sample_weights != nullptr ? sample_weights[row] : 1.0f;

    // A NaN may be lost here; e^(x - maximum) then finds it again.
    float shift = -INFINITY;
    for_lane_packs<kPack>(classes, aligned,
                          [&](std::int64_t start, std::int64_t count, bool whole) {
                            float values[kPack];
                            load_some<kPack>(x + start, count, whole, values, -INFINITY);
#pragma unroll
                            for (int i = 0; i < kPack; ++i) shift = fmaxf(shift, values[i]);
                          });
    shift = warp_max(shift);

    float total = 0, mass = 0, loss = 0;
    for_lane_packs<kPack>(classes, aligned,
                          [&](std::int64_t start, std::int64_t count, bool whole) {
                            float values[kPack];
                            load_some<kPack>(x + start, count, whole, values);
#pragma unroll
                            for (int i = 0; i < kPack; ++i) {
                              if (i >= count) continue;
                              total += expf(values[i] - shift);
                              mass += target(row, label, start + i);
                            }
                          });
    total = warp_sum(total);
    mass = warp_sum(mass);
    const float log_total = logf(total), factor = mass / total;

    for_lane_packs<kPack>(
        classes, aligned, [&](std::int64_t start, std::int64_t count, bool whole) {
          float values[kPack];
          load_some<kPack>(x + start, count, whole, values);
#pragma unroll
          for (int i = 0; i < kPack; ++i) {
            if (i >= count) continue;
            const float q = target(row, label, start + i);
            if (q != 0.0f) loss += q * (log_total - (values[i] - shift));
            values[i] = weight * (expf(values[i] - shift) * factor - q);
          }
          if (gradient != nullptr)
            store_some<kPack>(gradient + row * classes + start, count, whole, values);
        });
    // 0 · total keeps a NaN of a class whose q is zero.
    loss = warp_sum(loss) + 0.0f * total;
    const double own = labels != nullptr ? class_weight(label) : 1.0f;
    return {static_cast<double>(weight) * static_cast<double>(loss),
            static_cast<double>(weight) * own};
  }
};

}  // namespace
}  // namespace gpu

void CudaBackend::softmax_cross_entropy(Stream& stream, const CrossEntropyOptions& options,
                                        const Tensor& logits, const Tensor& target,
                                        const Tensor& sample_weight, const Tensor& class_weight,
                                        Tensor& dlogits, Tensor& sums) {
  LOCKSTEP_CHECK(logits.shape().rank() == 2, "logits are {}, not (N, C)",
                 logits.shape().to_string());
  const std::int64_t rows = logits.rows(), classes = logits.shape()[1];
  if (dlogits.defined()) gpu::check_count(dlogits, logits.elements(), "dlogits", logits.dtype());
  if (sample_weight.defined()) gpu::check_count(sample_weight, rows, "sample_weight");
  if (class_weight.defined()) gpu::check_count(class_weight, classes, "class_weight");
  const bool by_label = target.dtype() == DType::kInt64;
  if (by_label)
    gpu::check_count(target, rows, "target", DType::kInt64);
  else
    gpu::check_shape(target, logits.shape(), "target");
  const auto message = [classes](const gpu::Fault& fault) {
    return fmt::format("row {} of the batch has class {}, but the network has {} outputs",
                       fault.place, fault.value, classes);
  };
  gpu::for_element_type(logits, "logits", [&]<typename T>(T) {
    const gpu::CrossEntropy<T> row{
        .logits = logits.data<T>(),
        .labels = by_label ? target.data<std::int64_t>() : nullptr,
        .probabilities = by_label ? nullptr : target.data<float>(),
        .sample_weights = gpu::optional_data<float>(sample_weight),
        .class_weights = gpu::optional_data<float>(class_weight),
        .gradient = gpu::optional_data<T>(dlogits),
        .classes = classes,
        .ignore_label = options.ignore_label,
        .kept = 1.0f - options.label_smoothing,
        .share = options.label_smoothing / static_cast<float>(classes),
        .fault = cuda_stream(stream).fault_slot(gpu::FaultKind::kCrossEntropy, message)};
    gpu::sum_rows_to_host(stream, "softmax_cross_entropy", row, rows, classes,
                          gpu::all_aligned<gpu::kPack<T>, T>({&logits, &dlogits}), sums);
  });
}

}  // namespace lockstep
