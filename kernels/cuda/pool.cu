// Max and average pooling: a thread makes a pack of channels of a pixel. Gradients are gathered: an
// input adds up what the windows that hold it send back, so that no two windows write to one place.
#include "kernels/cuda/pool.h"

namespace lockstep {

namespace gpu {
namespace {

template <typename T>
struct MaxForward {
  static constexpr int kPack = gpu::kPack<T>;
  PoolAxes axes;
  const T* x;
  T* y;
  std::uint8_t* argmax;
  std::int64_t channel = 0;

  __device__ void begin(std::int64_t, std::int64_t first, std::int64_t, bool) { channel = first; }
  __device__ void at(std::int64_t row, std::int64_t offset, std::int64_t count, bool whole) const {
    float best[kPack] = {};
    std::uint8_t place[kPack] = {};
    max_window(
        axes, axes.outputs(row), channel,
        [&](std::int64_t from, float(&values)[kPack]) {
          load_some<kPack>(x + from, count, whole, values);
        },
        best, place);
    store_some<kPack>(y + offset, count, whole, best);
    store_some<kPack>(argmax + offset, count, whole, place);
  }
};

template <typename T>
struct MaxBackward {
  static constexpr int kPack = gpu::kPack<T>;
  PoolAxes axes;
  const T* dy;
  const std::uint8_t* argmax;
  T* dx;
  std::int64_t channel = 0;

  __device__ void begin(std::int64_t, std::int64_t first, std::int64_t, bool) { channel = first; }
  __device__ void at(std::int64_t row, std::int64_t offset, std::int64_t count, bool whole) const {
    float sum[kPack] = {};
    gather_windows(
        axes, axes.inputs(row), channel, argmax, count, whole,
        [&](std::int64_t from, float(&slopes)[kPack]) {
          load_some<kPack>(dy + from, count, whole, slopes);
        },
        sum);
    store_some<kPack>(dx + offset, count, whole, sum);
  }
};

// How many places of an output's window count along one axis.
__device__ __forceinline__ int window_size(const WindowAxis& axis, int output, bool with_pad) {
  if (with_pad) return axis.kernel;
  const int first = axis.input(output, 0), end = first + axis.kernel;
  return (end < axis.in ? end : axis.in) - (first > 0 ? first : 0);
}

__device__ __forceinline__ float window_size(const PoolAxes& axes, int oh, int ow) {
  return static_cast<float>(window_size(axes.h, oh, axes.count_include_pad) *
                            window_size(axes.w, ow, axes.count_include_pad));
}

template <typename T>
struct AverageForward {
  static constexpr int kPack = gpu::kPack<T>;
  PoolAxes axes;
  const T* x;
  T* y;
  std::int64_t channel = 0;

  __device__ void begin(std::int64_t, std::int64_t first, std::int64_t, bool) { channel = first; }
  __device__ void at(std::int64_t row, std::int64_t offset, std::int64_t count, bool whole) const {
    const Pixel pixel = axes.outputs(row);
    float sum[kPack] = {};
    for (int kh = 0; kh < axes.h.kernel; ++kh) {
      const int h = axes.h.input(pixel.h, kh);
      if (h < 0 || h >= axes.h.in) continue;
      for (int kw = 0; kw < axes.w.kernel; ++kw) {
        const int w = axes.w.input(pixel.w, kw);
        if (w < 0 || w >= axes.w.in) continue;
        float values[kPack];
        load_some<kPack>(x + axes.inputs.number(pixel.image, h, w) * axes.channels + channel, count,
                         whole, values);
#pragma unroll
        for (int i = 0; i < kPack; ++i) sum[i] += values[i];
      }
    }
    const float size = window_size(axes, pixel.h, pixel.w);
#pragma unroll
    for (int i = 0; i < kPack; ++i) sum[i] /= size;
    store_some<kPack>(y + offset, count, whole, sum);
  }
};

template <typename T>
struct AverageBackward {
  static constexpr int kPack = gpu::kPack<T>;
  PoolAxes axes;
  const T* dy;
  T* dx;
  std::int64_t channel = 0;

  __device__ void begin(std::int64_t, std::int64_t first, std::int64_t, bool) { channel = first; }
  __device__ void at(std::int64_t row, std::int64_t offset, std::int64_t count, bool whole) const {
    const Pixel pixel = axes.inputs(row);
    float sum[kPack] = {};
    for (int oh = axes.h.first_output(pixel.h); oh < axes.h.end_output(pixel.h); ++oh) {
      for (int ow = axes.w.first_output(pixel.w); ow < axes.w.end_output(pixel.w); ++ow) {
        const float size = window_size(axes, oh, ow);
        float slopes[kPack];
        load_some<kPack>(dy + axes.outputs.number(pixel.image, oh, ow) * axes.channels + channel,
                         count, whole, slopes);
#pragma unroll
        for (int i = 0; i < kPack; ++i) sum[i] += slopes[i] / size;
      }
    }
    store_some<kPack>(dx + offset, count, whole, sum);
  }
};

template <typename T>
struct StoreMean {
  T* y;
  std::int64_t channels;
  float places;
  __device__ void operator()(std::int64_t image, std::int64_t channel,
                             const float (&sum)[1]) const {
    store(y + image * channels + channel, sum[0] / places);
  }
};

template <typename T>
struct Spread {
  static constexpr int kPack = gpu::kPack<T>;
  const T* dy;
  T* dx;
  std::int64_t channels;
  float places;
  float share[kPack] = {};

  __device__ void begin(std::int64_t image, std::int64_t channel, std::int64_t count, bool whole) {
    load_some<kPack>(dy + image * channels + channel, count, whole, share);
#pragma unroll
    for (int i = 0; i < kPack; ++i) share[i] /= places;
  }
  __device__ void at(std::int64_t, std::int64_t offset, std::int64_t count, bool whole) const {
    store_some<kPack>(dx + offset, count, whole, share);
  }
};

std::int64_t pixels_of(const Tensor& images) {
  return images.rows() * images.shape()[1] * images.shape()[2];
}

}  // namespace

PoolAxes pool_axes(const PoolGeometry& g, const Tensor& x, const Tensor& y) {
  LOCKSTEP_CHECK(g.kernel_h > 0 && g.kernel_w > 0 && g.stride_h > 0 && g.stride_w > 0,
                 "pooling window {} x {}, stride {} x {}", g.kernel_h, g.kernel_w, g.stride_h,
                 g.stride_w);
  // As PyTorch: then every window holds at least one place of the image.
  LOCKSTEP_CHECK(
      g.pad_h >= 0 && g.pad_w >= 0 && 2 * g.pad_h <= g.kernel_h && 2 * g.pad_w <= g.kernel_w,
      "padding {} x {} is more than half the window {} x {}", g.pad_h, g.pad_w, g.kernel_h,
      g.kernel_w);
  LOCKSTEP_CHECK(g.kernel_h <= g.in_h + 2 * g.pad_h && g.kernel_w <= g.in_w + 2 * g.pad_w,
                 "the window {} x {} is larger than the image {} x {}", g.kernel_h, g.kernel_w,
                 g.in_h, g.in_w);
  const std::int64_t images = x.rows();
  check_shape(x, {images, g.in_h, g.in_w, g.channels}, "x", x.dtype());
  check_shape(y, {images, g.out_h(), g.out_w(), g.channels}, "y", x.dtype());
  const auto axis = [](std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
                       std::int64_t pad) {
    return WindowAxis{static_cast<int>(in), static_cast<int>(out), static_cast<int>(kernel),
                      static_cast<int>(stride), static_cast<int>(pad)};
  };
  return {axis(g.in_h, g.out_h(), g.kernel_h, g.stride_h, g.pad_h),
          axis(g.in_w, g.out_w(), g.kernel_w, g.stride_w, g.pad_w),
          pixel_grid(images, g.in_h, g.in_w),
          pixel_grid(images, g.out_h(), g.out_w()),
          g.channels,
          g.count_include_pad};
}

void check_places(const PoolGeometry& g) {
  LOCKSTEP_CHECK(g.kernel_h * g.kernel_w <= 255, "max pooling over {} x {} places; 255 at most",
                 g.kernel_h, g.kernel_w);
}

}  // namespace gpu

void CudaBackend::max_pool_forward(Stream& stream, const PoolGeometry& geometry, const Tensor& x,
                                   Tensor& y, Tensor& argmax) {
  const gpu::PoolAxes axes = gpu::pool_axes(geometry, x, y);
  gpu::check_places(geometry);
  gpu::check_shape(argmax, y.shape(), "argmax", DType::kUInt8);
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    constexpr int N = gpu::kPack<T>;
    const gpu::MaxForward<T> map{axes, x.data<T>(), y.data<T>(), argmax.data<std::uint8_t>()};
    gpu::map_columns(
        gpu::raw(stream), "max_pool_forward", map, 1, gpu::pixels_of(y), axes.channels,
        gpu::all_aligned<N, T>({&x, &y}) && gpu::all_aligned<N, std::uint8_t>({&argmax}));
  });
}

void CudaBackend::max_pool_backward(Stream& stream, const PoolGeometry& geometry, const Tensor& dy,
                                    const Tensor& argmax, Tensor& dx) {
  const gpu::PoolAxes axes = gpu::pool_axes(geometry, dx, dy);
  gpu::check_places(geometry);
  gpu::check_shape(argmax, dy.shape(), "argmax", DType::kUInt8);
  gpu::for_element_type(dy, "dy", [&]<typename T>(T) {
    constexpr int N = gpu::kPack<T>;
    const gpu::MaxBackward<T> map{axes, dy.data<T>(), argmax.data<std::uint8_t>(), dx.data<T>()};
    gpu::map_columns(
        gpu::raw(stream), "max_pool_backward", map, 1, gpu::pixels_of(dx), axes.channels,
        gpu::all_aligned<N, T>({&dx, &dy}) && gpu::all_aligned<N, std::uint8_t>({&argmax}));
  });
}

void CudaBackend::avg_pool_forward(Stream& stream, const PoolGeometry& geometry, const Tensor& x,
                                   Tensor& y) {
  const gpu::PoolAxes axes = gpu::pool_axes(geometry, x, y);
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    gpu::map_columns(gpu::raw(stream), "avg_pool_forward",
                     gpu::AverageForward<T>{axes, x.data<T>(), y.data<T>()}, 1, gpu::pixels_of(y),
                     axes.channels, gpu::all_aligned<gpu::kPack<T>, T>({&x, &y}));
  });
}

void CudaBackend::avg_pool_backward(Stream& stream, const PoolGeometry& geometry, const Tensor& dy,
                                    Tensor& dx) {
  const gpu::PoolAxes axes = gpu::pool_axes(geometry, dx, dy);
  gpu::for_element_type(dy, "dy", [&]<typename T>(T) {
    gpu::map_columns(gpu::raw(stream), "avg_pool_backward",
                     gpu::AverageBackward<T>{axes, dy.data<T>(), dx.data<T>()}, 1,
                     gpu::pixels_of(dx), axes.channels,
                     gpu::all_aligned<gpu::kPack<T>, T>({&dx, &dy}));
  });
}

void CudaBackend::global_avg_pool_forward(Stream& stream, const Tensor& x, Tensor& y) {
  LOCKSTEP_CHECK(x.shape().rank() == 4, "x is {}, not (N, H, W, C)", x.shape().to_string());
  const std::int64_t places = x.shape()[1] * x.shape()[2], channels = x.shape()[3];
  gpu::check_shape(y, {x.rows(), channels}, "y", x.dtype());
  LOCKSTEP_CHECK(places > 0, "the image {} is empty", x.shape().to_string());
  if (y.elements() == 0) return;
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    gpu::sum_columns(gpu::raw(stream), "global_avg_pool_forward", gpu::RowTotal<T>{x.data<T>()},
                     gpu::StoreMean<T>{y.data<T>(), channels, static_cast<float>(places)}, x.rows(),
                     places, channels, gpu::all_aligned<gpu::kPack<T>, T>({&x}),
                     gpu::floats_of(stream));
  });
}

void CudaBackend::global_avg_pool_backward(Stream& stream, const Tensor& dy, Tensor& dx) {
  LOCKSTEP_CHECK(dx.shape().rank() == 4, "dx is {}, not (N, H, W, C)", dx.shape().to_string());
  const std::int64_t places = dx.shape()[1] * dx.shape()[2], channels = dx.shape()[3];
  gpu::check_shape(dy, {dx.rows(), channels}, "dy", dx.dtype());
  gpu::for_element_type(dy, "dy", [&]<typename T>(T) {
    const gpu::Spread<T> map{dy.data<T>(), dx.data<T>(), channels, static_cast<float>(places)};
    gpu::map_columns(gpu::raw(stream), "global_avg_pool_backward", map, dx.rows(), places, channels,
                     gpu::all_aligned<gpu::kPack<T>, T>({&dx, &dy}));
  });
}

}  // namespace lockstep
