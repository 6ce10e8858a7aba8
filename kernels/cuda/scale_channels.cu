// Products by sample and channel (squeeze and excitation, FiLM), and the gradient of the factors.
#include "kernels/cuda/checks.h"
#include "kernels/cuda/columns.h"

namespace lockstep {

namespace gpu {
namespace {

// factor and shift are (groups, channels): activations as x is, or parameters.
template <typename T, typename F>
struct ScaleChannels {
  static constexpr int kPack = gpu::kPack<T>;
  const T* x;
  const F *factor, *shift;  // shift may be null
  T* y;
  std::int64_t channels;
  float scale[kPack] = {}, offset_of[kPack] = {};

  __device__ void begin(std::int64_t group, std::int64_t channel, std::int64_t count, bool whole) {
    load_some<kPack>(factor + group * channels + channel, count, whole, scale);
    if (shift != nullptr)
      load_some<kPack>(shift + group * channels + channel, count, whole, offset_of);
  }
  __device__ void at(std::int64_t, std::int64_t offset, std::int64_t count, bool whole) const {
    float values[kPack];
    load_some<kPack>(x + offset, count, whole, values);
#pragma unroll
    for (int i = 0; i < kPack; ++i) values[i] = fmaf(values[i], scale[i], offset_of[i]);
    store_some<kPack>(y + offset, count, whole, values);
  }
};

template <typename T>
struct ProductSums {
  static constexpr int kPack = gpu::kPack<T>, kSums = 1;
  const T *x, *dy;
  float total[kPack] = {};

  __device__ void begin(std::int64_t, std::int64_t, std::int64_t, bool) {}
  __device__ void add(std::int64_t, std::int64_t offset, std::int64_t count, bool whole) {
    float values[kPack], slopes[kPack];
    load_some<kPack>(x + offset, count, whole, values);
    load_some<kPack>(dy + offset, count, whole, slopes);
#pragma unroll
    for (int i = 0; i < kPack; ++i) total[i] = fmaf(values[i], slopes[i], total[i]);
  }
  __device__ void result(float (&sums)[kSums][kPack], float) const {
#pragma unroll
    for (int i = 0; i < kPack; ++i) sums[0][i] = total[i];
  }
  __device__ static void merge(float (&a)[kSums], float, const float (&b)[kSums], float) {
    add_sums(a, b);
  }
};

template <typename F>
struct StoreFactor {
  F* dfactor;
  std::int64_t channels;
  __device__ void operator()(std::int64_t group, std::int64_t channel,
                             const float (&sum)[1]) const {
    store(dfactor + group * channels + channel, sum[0]);
  }
};

}  // namespace
}  // namespace gpu

void CudaBackend::scale_channels(Stream& stream, const Tensor& x, const Tensor& factor,
                                 const Tensor& shift, Tensor& y) {
  gpu::check_like(y, x, "y");
  const std::int64_t rows = x.rows(), channels = x.shape().back();
  gpu::check_shape(factor, {rows, channels}, "factor", factor.dtype());
  if (shift.defined()) gpu::check_shape(shift, {rows, channels}, "shift", factor.dtype());
  if (x.elements() == 0) return;
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    gpu::for_element_type(factor, "factor", [&]<typename F>(F) {
      constexpr int N = gpu::kPack<T>;
      const gpu::ScaleChannels<T, F> map{x.data<T>(), factor.data<F>(),
                                         gpu::optional_data<F>(shift), y.data<T>(), channels};
      gpu::map_columns(
          gpu::raw(stream), "scale_channels", map, rows, x.elements() / rows / channels, channels,
          gpu::all_aligned<N, T>({&x, &y}) && gpu::all_aligned<N, F>({&factor, &shift}));
    });
  });
}

void CudaBackend::scale_channels_backward(Stream& stream, const Tensor& x, const Tensor& dy,
                                          Tensor& dfactor) {
  gpu::check_like(dy, x, "dy");
  const std::int64_t rows = x.rows(), channels = x.shape().back();
  gpu::check_shape(dfactor, {rows, channels}, "dfactor", dfactor.dtype());
  if (dfactor.elements() == 0) return;
  if (x.elements() == 0) {
    gpu::set_bytes(dfactor.raw(), 0, dfactor.bytes(), gpu::raw(stream));
    return;
  }
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    gpu::for_element_type(dfactor, "dfactor", [&]<typename F>(F) {
      gpu::sum_columns(gpu::raw(stream), "scale_channels_backward",
                       gpu::ProductSums<T>{x.data<T>(), dy.data<T>()},
                       gpu::StoreFactor<F>{dfactor.data<F>(), channels}, rows,
                       x.elements() / rows / channels, channels,
                       gpu::all_aligned<gpu::kPack<T>, T>({&x, &dy}), gpu::floats_of(stream));
    });
  });
}

}  // namespace lockstep
