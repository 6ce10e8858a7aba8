// Softmax, its logarithm, and the place of the largest, over the last axis: a warp a row.
#include <cmath>

#include "kernels/cuda/checks.h"
#include "kernels/cuda/rows.h"

namespace lockstep {

namespace gpu {
namespace {

// The greatest element. A NaN may be lost here; e^(x - maximum) then finds it again.
template <int N, typename T>
__device__ __forceinline__ float row_maximum(const T* x, std::int64_t width, bool aligned) {
  float most = -INFINITY;
  for_lane_packs<N>(width, aligned, [&](std::int64_t start, std::int64_t count, bool whole) {
    float values[N];
    load_some<N>(x + start, count, whole, values, -INFINITY);
#pragma unroll
    for (int i = 0; i < N; ++i) most = fmaxf(most, values[i]);
  });
  return warp_max(most);
}

// Σ e^(x - shift)
template <int N, typename T>
__device__ __forceinline__ float exponentials(const T* x, float shift, std::int64_t width,
                                              bool aligned) {
  float total = 0;
  for_lane_packs<N>(width, aligned, [&](std::int64_t start, std::int64_t count, bool whole) {
    float values[N];
    load_some<N>(x + start, count, whole, values);
#pragma unroll
    for (int i = 0; i < N; ++i)
      if (i < count) total += expf(values[i] - shift);
  });
  return warp_sum(total);
}

template <typename T>
struct SoftmaxForward {
  static constexpr int kPack = gpu::kPack<T>;
  const T* x;
  T* y;
  std::int64_t width;

  __device__ void operator()(std::int64_t row, bool aligned) const {
    const T* const from = x + row * width;
    T* const to = y + row * width;
    const float shift = row_maximum<kPack>(from, width, aligned);
    const float total = exponentials<kPack>(from, shift, width, aligned);
    for_lane_packs<kPack>(width, aligned, [&](std::int64_t start, std::int64_t count, bool whole) {
      float values[kPack];
      load_some<kPack>(from + start, count, whole, values);
#pragma unroll
      for (int i = 0; i < kPack; ++i) values[i] = expf(values[i] - shift) / total;
      store_some<kPack>(to + start, count, whole, values);
    });
  }
};

// x - max - log Σ e^(x - max)
template <typename T>
struct LogSoftmaxForward {
  static constexpr int kPack = gpu::kPack<T>;
  const T* x;
  T* y;
  std::int64_t width;

  __device__ void operator()(std::int64_t row, bool aligned) const {
    const T* const from = x + row * width;
    T* const to = y + row * width;
    const float shift = row_maximum<kPack>(from, width, aligned);
    const float log_total = logf(exponentials<kPack>(from, shift, width, aligned));
    for_lane_packs<kPack>(width, aligned, [&](std::int64_t start, std::int64_t count, bool whole) {
      float values[kPack];
      load_some<kPack>(from + start, count, whole, values);
#pragma unroll
      for (int i = 0; i < kPack; ++i) values[i] = values[i] - shift - log_total;
      store_some<kPack>(to + start, count, whole, values);
    });
  }
};

// dx = y (dy - Σ y dy), or dy - e^y Σ dy where y is the logarithm.
template <typename T, bool kLog>
struct SoftmaxBackward {
  static constexpr int kPack = gpu::kPack<T>;
  const T *y, *dy;
  T* dx;
  std::int64_t width;

  __device__ void operator()(std::int64_t row, bool aligned) const {
    const std::int64_t first = row * width;
    float total = 0;
    for_lane_packs<kPack>(width, aligned, [&](std::int64_t start, std::int64_t count, bool whole) {
      float values[kPack], slopes[kPack];
      load_some<kPack>(y + first + start, count, whole, values);
      load_some<kPack>(dy + first + start, count, whole, slopes);
#pragma unroll
      for (int i = 0; i < kPack; ++i)
        total = kLog ? total + slopes[i] : fmaf(values[i], slopes[i], total);
    });
    total = warp_sum(total);
    for_lane_packs<kPack>(width, aligned, [&](std::int64_t start, std::int64_t count, bool whole) {
      float values[kPack], slopes[kPack];
      load_some<kPack>(y + first + start, count, whole, values);
      load_some<kPack>(dy + first + start, count, whole, slopes);
#pragma unroll
      for (int i = 0; i < kPack; ++i)
        slopes[i] =
            kLog ? fmaf(-expf(values[i]), total, slopes[i]) : values[i] * (slopes[i] - total);
      store_some<kPack>(dx + first + start, count, whole, slopes);
    });
  }
};

// The greater first, a NaN before all numbers, and of equals the one that stands first.
__device__ __forceinline__ bool ranks_above(float a, std::int64_t place_a, float b,
                                            std::int64_t place_b) {
  const bool nan_a = a != a, nan_b = b != b;
  if (nan_a != nan_b) return nan_a;
  if (nan_a || a == b) return place_a < place_b;
  return a > b;
}

template <typename T>
struct ArgMax {
  static constexpr int kPack = gpu::kPack<T>;
  const T* x;
  std::int64_t* index;
  std::int64_t width;

  __device__ void operator()(std::int64_t row, bool aligned) const {
    float best = -INFINITY;
    std::int64_t place = width;  // behind all: a lane without elements
    for_lane_packs<kPack>(width, aligned, [&](std::int64_t start, std::int64_t count, bool whole) {
      float values[kPack];
      load_some<kPack>(x + row * width + start, count, whole, values);
#pragma unroll
      for (int i = 0; i < kPack; ++i) {
        if (i >= count || !ranks_above(values[i], start + i, best, place)) continue;
        best = values[i];
        place = start + i;
      }
    });
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
      const float other = __shfl_xor_sync(kWholeWarp, best, distance);
      const std::int64_t other_place = __shfl_xor_sync(kWholeWarp, place, distance);
      if (!ranks_above(other, other_place, best, place)) continue;
      best = other;
      place = other_place;
    }
    if (threadIdx.x % kWarp == 0) index[row] = place;
  }
};

// Rows of the last axis.
std::int64_t rows_of(const Tensor& x) {
  const std::int64_t width = x.shape().back();
  return width == 0 ? 0 : x.elements() / width;
}

template <template <typename> class Row>
void forward_rows(Stream& stream, const char* name, const Tensor& x, Tensor& y) {
  check_like(y, x, "y");
  const std::int64_t width = x.shape().back();
  for_element_type(x, "x", [&]<typename T>(T) {
    for_rows(raw(stream), name, Row<T>{x.data<T>(), y.data<T>(), width}, rows_of(x), width,
             all_aligned<kPack<T>, T>({&x, &y}));
  });
}

template <bool kLog>
void backward_rows(Stream& stream, const char* name, const Tensor& y, const Tensor& dy,
                   Tensor& dx) {
  check_like(dy, y, "dy");
  check_like(dx, y, "dx");
  const std::int64_t width = y.shape().back();
  for_element_type(y, "y", [&]<typename T>(T) {
    for_rows(raw(stream), name,
             SoftmaxBackward<T, kLog>{y.data<T>(), dy.data<T>(), dx.data<T>(), width}, rows_of(y),
             width, all_aligned<kPack<T>, T>({&y, &dy, &dx}));
  });
}

}  // namespace
}  // namespace gpu

void CudaBackend::softmax_forward(Stream& stream, const Tensor& x, Tensor& y) {
  gpu::forward_rows<gpu::SoftmaxForward>(stream, "softmax_forward", x, y);
}

void CudaBackend::log_softmax_forward(Stream& stream, const Tensor& x, Tensor& y) {
  gpu::forward_rows<gpu::LogSoftmaxForward>(stream, "log_softmax_forward", x, y);
}

void CudaBackend::softmax_backward(Stream& stream, const Tensor& y, const Tensor& dy, Tensor& dx) {
  gpu::backward_rows<false>(stream, "softmax_backward", y, dy, dx);
}

void CudaBackend::log_softmax_backward(Stream& stream, const Tensor& y, const Tensor& dy,
                                       Tensor& dx) {
  gpu::backward_rows<true>(stream, "log_softmax_backward", y, dy, dx);
}

void CudaBackend::argmax(Stream& stream, const Tensor& x, Tensor& index) {
  const std::int64_t width = x.shape().back();
  LOCKSTEP_CHECK(width > 0, "argmax over no values: x is {}", x.shape().to_string());
  const std::int64_t rows = x.elements() / width;
  gpu::check_count(index, rows, "index", DType::kInt64);
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    gpu::for_rows(gpu::raw(stream), "argmax",
                  gpu::ArgMax<T>{x.data<T>(), index.data<std::int64_t>(), width}, rows, width,
                  gpu::all_aligned<gpu::kPack<T>, T>({&x}));
  });
}

}  // namespace lockstep
