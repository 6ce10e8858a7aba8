// Adaptive max and average pooling: windows of any size, which may overlap. Gradients are gathered
// in the order of the outputs.
#include "kernels/cuda/checks.h"
#include "kernels/cuda/columns.h"
#include "kernels/cuda/pixels.h"

namespace lockstep {

namespace gpu {
namespace {

// Output o of O sees the inputs [floor(o I / O), ceil((o + 1) I / O)); the outputs that see input i
// are [floor(i O / I), ceil((i + 1) O / I)), the same with the sides exchanged.
struct Span {
  int begin, end;
};
__device__ __forceinline__ Span seen(int place, int places, int others) {
  const auto at = static_cast<std::int64_t>(place);
  return {static_cast<int>(at * others / places),
          static_cast<int>(((at + 1) * others + places - 1) / places)};
}
__device__ __forceinline__ int size_of(Span span) {
  return span.end - span.begin;
}

struct Images {
  PixelGrid inputs, outputs;
  std::int64_t channels;

  __device__ Span rows_seen(int oh) const {
    return seen(oh, static_cast<int>(outputs.height), static_cast<int>(inputs.height));
  }
  __device__ Span columns_seen(int ow) const {
    return seen(ow, static_cast<int>(outputs.width), static_cast<int>(inputs.width));
  }
  __device__ Span rows_seeing(int h) const {
    return seen(h, static_cast<int>(inputs.height), static_cast<int>(outputs.height));
  }
  __device__ Span columns_seeing(int w) const {
    return seen(w, static_cast<int>(inputs.width), static_cast<int>(outputs.width));
  }
};

Images images_of(const AdaptivePoolGeometry& g, const Tensor& x, const Tensor& y) {
  LOCKSTEP_CHECK(g.in_h > 0 && g.in_w > 0 && g.out_h > 0 && g.out_w > 0,
                 "adaptive pooling from {} x {} to {} x {}", g.in_h, g.in_w, g.out_h, g.out_w);
  const std::int64_t images = x.rows();
  check_shape(x, {images, g.in_h, g.in_w, g.channels}, "x", x.dtype());
  check_shape(y, {images, g.out_h, g.out_w, g.channels}, "y", x.dtype());
  return {pixel_grid(images, g.in_h, g.in_w), pixel_grid(images, g.out_h, g.out_w), g.channels};
}

template <typename T>
struct AdaptiveMaxForward {
  static constexpr int kPack = gpu::kPack<T>;
  Images images;
  const T* x;
  T* y;
  std::int64_t* place;
  std::int64_t channel = 0;

  __device__ void begin(std::int64_t, std::int64_t first, std::int64_t, bool) { channel = first; }
  __device__ void at(std::int64_t row, std::int64_t offset, std::int64_t count, bool whole) const {
    const Pixel pixel = images.outputs(row);
    const Span rows = images.rows_seen(pixel.h), columns = images.columns_seen(pixel.w);
    float best[kPack] = {};
    std::int64_t where[kPack] = {};
    bool started = false;
    for (int h = rows.begin; h < rows.end; ++h) {
      for (int w = columns.begin; w < columns.end; ++w) {
        float values[kPack];
        load_some<kPack>(x + images.inputs.number(pixel.image, h, w) * images.channels + channel,
                         count, whole, values);
#pragma unroll
        for (int i = 0; i < kPack; ++i) {
          // Greater, or the first NaN: nothing replaces a NaN.
          if (started && (values[i] <= best[i] || best[i] != best[i])) continue;
          best[i] = values[i];
          where[i] = static_cast<std::int64_t>(h) * images.inputs.width + w;
        }
        started = true;
      }
    }
    store_some<kPack>(y + offset, count, whole, best);
    store_some<kPack>(place + offset, count, whole, where);
  }
};

template <typename T>
struct AdaptiveMaxBackward {
  static constexpr int kPack = gpu::kPack<T>;
  Images images;
  const T* dy;
  const std::int64_t* place;
  T* dx;
  std::int64_t channel = 0;

  __device__ void begin(std::int64_t, std::int64_t first, std::int64_t, bool) { channel = first; }
  __device__ void at(std::int64_t row, std::int64_t offset, std::int64_t count, bool whole) const {
    const Pixel pixel = images.inputs(row);
    const Span rows = images.rows_seeing(pixel.h), columns = images.columns_seeing(pixel.w);
    const std::int64_t here = static_cast<std::int64_t>(pixel.h) * images.inputs.width + pixel.w;
    float sum[kPack] = {};
    for (int oh = rows.begin; oh < rows.end; ++oh) {
      for (int ow = columns.begin; ow < columns.end; ++ow) {
        const std::int64_t from =
            images.outputs.number(pixel.image, oh, ow) * images.channels + channel;
        float slopes[kPack];
        std::int64_t where[kPack];
        load_some<kPack>(dy + from, count, whole, slopes);
        load_some<kPack>(place + from, count, whole, where);
#pragma unroll
        for (int i = 0; i < kPack; ++i)
          if (where[i] == here) sum[i] += slopes[i];
      }
    }
    store_some<kPack>(dx + offset, count, whole, sum);
  }
};

template <typename T>
struct AdaptiveAverageForward {
  static constexpr int kPack = gpu::kPack<T>;
  Images images;
  const T* x;
  T* y;
  std::int64_t channel = 0;

  __device__ void begin(std::int64_t, std::int64_t first, std::int64_t, bool) { channel = first; }
  __device__ void at(std::int64_t row, std::int64_t offset, std::int64_t count, bool whole) const {
    const Pixel pixel = images.outputs(row);
    const Span rows = images.rows_seen(pixel.h), columns = images.columns_seen(pixel.w);
    float sum[kPack] = {};
    for (int h = rows.begin; h < rows.end; ++h) {
      for (int w = columns.begin; w < columns.end; ++w) {
        float values[kPack];
        load_some<kPack>(x + images.inputs.number(pixel.image, h, w) * images.channels + channel,
                         count, whole, values);
#pragma unroll
        for (int i = 0; i < kPack; ++i) sum[i] += values[i];
      }
    }
    const auto size = static_cast<float>(size_of(rows) * size_of(columns));
#pragma unroll
    for (int i = 0; i < kPack; ++i) sum[i] /= size;
    store_some<kPack>(y + offset, count, whole, sum);
  }
};

template <typename T>
struct AdaptiveAverageBackward {
  static constexpr int kPack = gpu::kPack<T>;
  Images images;
  const T* dy;
  T* dx;
  std::int64_t channel = 0;

  __device__ void begin(std::int64_t, std::int64_t first, std::int64_t, bool) { channel = first; }
  __device__ void at(std::int64_t row, std::int64_t offset, std::int64_t count, bool whole) const {
    const Pixel pixel = images.inputs(row);
    const Span rows = images.rows_seeing(pixel.h), columns = images.columns_seeing(pixel.w);
    float sum[kPack] = {};
    for (int oh = rows.begin; oh < rows.end; ++oh) {
      for (int ow = columns.begin; ow < columns.end; ++ow) {
        const auto size =
            static_cast<float>(size_of(images.rows_seen(oh)) * size_of(images.columns_seen(ow)));
        float slopes[kPack];
        load_some<kPack>(
            dy + images.outputs.number(pixel.image, oh, ow) * images.channels + channel, count,
            whole, slopes);
#pragma unroll
        for (int i = 0; i < kPack; ++i) sum[i] += slopes[i] / size;
      }
    }
    store_some<kPack>(dx + offset, count, whole, sum);
  }
};

}  // namespace
}  // namespace gpu

void CudaBackend::adaptive_max_pool_forward(Stream& stream, const AdaptivePoolGeometry& g,
                                            const Tensor& x, Tensor& y, Tensor& place) {
  const gpu::Images images = gpu::images_of(g, x, y);
  gpu::check_shape(place, y.shape(), "place", DType::kInt64);
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    constexpr int N = gpu::kPack<T>;
    const gpu::AdaptiveMaxForward<T> map{images, x.data<T>(), y.data<T>(),
                                         place.data<std::int64_t>()};
    gpu::map_columns(
        gpu::raw(stream), "adaptive_max_pool_forward", map, 1, x.rows() * g.out_h * g.out_w,
        g.channels,
        gpu::all_aligned<N, T>({&x, &y}) && gpu::all_aligned<N, std::int64_t>({&place}));
  });
}

void CudaBackend::adaptive_max_pool_backward(Stream& stream, const AdaptivePoolGeometry& g,
                                             const Tensor& dy, const Tensor& place, Tensor& dx) {
  const gpu::Images images = gpu::images_of(g, dx, dy);
  gpu::check_shape(place, dy.shape(), "place", DType::kInt64);
  gpu::for_element_type(dy, "dy", [&]<typename T>(T) {
    constexpr int N = gpu::kPack<T>;
    const gpu::AdaptiveMaxBackward<T> map{images, dy.data<T>(), place.data<std::int64_t>(),
                                          dx.data<T>()};
    gpu::map_columns(
        gpu::raw(stream), "adaptive_max_pool_backward", map, 1, dx.rows() * g.in_h * g.in_w,
        g.channels,
        gpu::all_aligned<N, T>({&dx, &dy}) && gpu::all_aligned<N, std::int64_t>({&place}));
  });
}

void CudaBackend::adaptive_avg_pool_forward(Stream& stream, const AdaptivePoolGeometry& g,
                                            const Tensor& x, Tensor& y) {
  const gpu::Images images = gpu::images_of(g, x, y);
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    gpu::map_columns(gpu::raw(stream), "adaptive_avg_pool_forward",
                     gpu::AdaptiveAverageForward<T>{images, x.data<T>(), y.data<T>()}, 1,
                     x.rows() * g.out_h * g.out_w, g.channels,
                     gpu::all_aligned<gpu::kPack<T>, T>({&x, &y}));
  });
}

void CudaBackend::adaptive_avg_pool_backward(Stream& stream, const AdaptivePoolGeometry& g,
                                             const Tensor& dy, Tensor& dx) {
  const gpu::Images images = gpu::images_of(g, dx, dy);
  gpu::for_element_type(dy, "dy", [&]<typename T>(T) {
    gpu::map_columns(gpu::raw(stream), "adaptive_avg_pool_backward",
                     gpu::AdaptiveAverageBackward<T>{images, dy.data<T>(), dx.data<T>()}, 1,
                     dx.rows() * g.in_h * g.in_w, g.channels,
                     gpu::all_aligned<gpu::kPack<T>, T>({&dx, &dy}));
  });
}

}  // namespace lockstep
