// Metrics: a warp a row.
#include "kernels/cuda/row_sums.h"

namespace lockstep {

namespace gpu {
namespace {

template <typename T>
struct TopK {
  static constexpr int kPack = gpu::kPack<T>;
  const T* logits;
  const std::int64_t* labels;
  std::int64_t classes, k, ignore_label;
  FaultSlot fault;

  __device__ RowResult operator()(std::int64_t row, bool aligned) const {
    const std::int64_t label = labels[row];
    if (label == ignore_label) return {0, 0};
    if (label < 0 || label >= (classes == 1 ? 2 : classes)) {
      if (threadIdx.x % kWarp == 0) report_fault(fault, row, label);
      return {0, 0};
    }
    const T* const x = logits + row * classes;
    if (classes == 1) {  // one logit tells two classes apart
      const float logit = load(x);
      const bool right = logit == logit && (logit > 0.0f) == (label == 1);
      return {right ? 1.0 : 0.0, 1};
    }
    const float own = load(x + label);
    if (own != own) return {0, 1};
    float above = 0;  // exact: a whole number
    for_lane_packs<kPack>(classes, aligned,
                          [&](std::int64_t start, std::int64_t count, bool whole) {
                            float values[kPack];
                            load_some<kPack>(x + start, count, whole, values);
#pragma unroll
                            for (int i = 0; i < kPack; ++i) {
                              const bool ranks = values[i] > own || values[i] != values[i] ||
                                                 (values[i] == own && start + i < label);
                              if (i < count && ranks) above += 1.0f;
                            }
                          });
    return {warp_sum(above) < static_cast<float>(k) ? 1.0 : 0.0, 1};
  }
};

template <typename T>
struct RegressionErrors {
  static constexpr int kPack = gpu::kPack<T>;
  const T* prediction;
  const float* target;
  std::int64_t width;

  __device__ RowResult operator()(std::int64_t row, bool aligned) const {
    double squared = 0, absolute = 0;
    for_lane_packs<kPack>(width, aligned, [&](std::int64_t start, std::int64_t count, bool whole) {
      float values[kPack], targets[kPack];
      load_some<kPack>(prediction + row * width + start, count, whole, values);
      load_some<kPack>(target + row * width + start, count, whole, targets);
#pragma unroll
      for (int i = 0; i < kPack; ++i) {
        const float error = values[i] - targets[i];
        if (i >= count) continue;
        squared += static_cast<double>(error * error);
        absolute += static_cast<double>(fabsf(error));
      }
    });
    return {warp_sum(squared) / static_cast<double>(width),
            warp_sum(absolute) / static_cast<double>(width)};
  }
};

}  // namespace
}  // namespace gpu

void CudaBackend::top_k_correct(Stream& stream, std::int64_t k, std::int64_t ignore_label,
                                const Tensor& logits, const Tensor& target, Tensor& sums) {
  LOCKSTEP_CHECK(k > 0, "the {} largest", k);
  const std::int64_t rows = logits.rows();
  const std::int64_t classes = rows == 0 ? 1 : logits.elements() / rows;
  gpu::check_count(target, rows, "target", DType::kInt64);
  const auto message = [limit = classes == 1 ? 2 : classes](const gpu::Fault& fault) {
    return fmt::format("row {} of the batch has class {}, but the network tells {} apart",
                       fault.place, fault.value, limit);
  };
  gpu::for_element_type(logits, "logits", [&]<typename T>(T) {
    const gpu::TopK<T> row{.logits = logits.data<T>(),
                           .labels = target.data<std::int64_t>(),
                           .classes = classes,
                           .k = k,
                           .ignore_label = ignore_label,
                           .fault = cuda_stream(stream).fault_slot(gpu::FaultKind::kTopK, message)};
    gpu::sum_rows_to_host(stream, "top_k_correct", row, rows, classes,
                          gpu::all_aligned<gpu::kPack<T>, T>({&logits}), sums);
  });
}

void CudaBackend::regression_errors(Stream& stream, const Tensor& prediction, const Tensor& target,
                                    Tensor& sums) {
  gpu::check_count(target, prediction.elements(), "target");
  const std::int64_t rows = prediction.rows();
  const std::int64_t width = rows == 0 ? 1 : prediction.elements() / rows;
  gpu::for_element_type(prediction, "prediction", [&]<typename T>(T) {
    constexpr int N = gpu::kPack<T>;
    gpu::sum_rows_to_host(
        stream, "regression_errors",
        gpu::RegressionErrors<T>{prediction.data<T>(), target.data<float>(), width}, rows, width,
        gpu::all_aligned<N, T>({&prediction}) && gpu::all_aligned<N, float>({&target}), sums);
  });
}

}  // namespace lockstep
