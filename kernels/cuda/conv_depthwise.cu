// Depthwise convolutions: a thread makes a pack of channels of a pixel, and adds up the taps row by
// row. The gradient of a weight is a sum over all pixels, a pass over x and dy for each tap.
#include "kernels/cuda/conv_depthwise.h"

#include "kernels/cuda/checks.h"
#include "kernels/cuda/columns.h"
#include "kernels/cuda/pixels.h"

namespace lockstep::gpu {

namespace {

struct Axes {
  WindowAxis h, w;
  PixelGrid inputs, outputs;
  std::int64_t channels;
};

Axes axes_of(const ConvGeometry& g, std::int64_t images) {
  const auto axis = [](std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
                       std::int64_t pad, std::int64_t dilation) {
    return WindowAxis{static_cast<int>(in),     static_cast<int>(out), static_cast<int>(kernel),
                      static_cast<int>(stride), static_cast<int>(pad), static_cast<int>(dilation)};
  };
  return {axis(g.in_h, g.out_h(), g.kernel_h, g.stride_h, g.pad_h, g.dilation_h),
          axis(g.in_w, g.out_w(), g.kernel_w, g.stride_w, g.pad_w, g.dilation_w),
          pixel_grid(images, g.in_h, g.in_w), pixel_grid(images, g.out_h(), g.out_w()), g.in_c};
}

template <typename T>
struct Forward {
  static constexpr int kPack = gpu::kPack<T>;
  Axes axes;
  const T *x, *w;
  const float* bias;
  T* y;
  std::int64_t channel = 0;
  float start[kPack] = {};

  __device__ void begin(std::int64_t, std::int64_t first, std::int64_t count, bool whole) {
    channel = first;
    if (bias != nullptr) load_some<kPack>(bias + channel, count, whole, start);
  }
  __device__ void at(std::int64_t row, std::int64_t offset, std::int64_t count, bool whole) const {
    const Pixel pixel = axes.outputs(row);
    float sum[kPack];
#pragma unroll
    for (int i = 0; i < kPack; ++i) sum[i] = start[i];
    for (int kh = 0; kh < axes.h.kernel; ++kh) {
      const int h = axes.h.input(pixel.h, kh);
      if (h < 0 || h >= axes.h.in) continue;
      for (int kw = 0; kw < axes.w.kernel; ++kw) {
        const int w_place = axes.w.input(pixel.w, kw);
        if (w_place < 0 || w_place >= axes.w.in) continue;
        float values[kPack], weights[kPack];
        load_some<kPack>(x + axes.inputs.number(pixel.image, h, w_place) * axes.channels + channel,
                         count, whole, values);
        load_some<kPack>(w + (kh * axes.w.kernel + kw) * axes.channels + channel, count, whole,
                         weights);
#pragma unroll
        for (int i = 0; i < kPack; ++i) sum[i] = fmaf(values[i], weights[i], sum[i]);
      }
    }
    store_some<kPack>(y + offset, count, whole, sum);
  }
};

template <typename T>
struct BackwardData {
  static constexpr int kPack = gpu::kPack<T>;
  Axes axes;
  const T *dy, *w;
  T* dx;
  bool add;
  std::int64_t channel = 0;

  // The output whose tap reaches an input; -1: there is none.
  __device__ static int output_of(const WindowAxis& axis, int input, int tap) {
    const int from = input + axis.pad - tap * axis.dilation;
    if (from < 0 || from % axis.stride != 0) return -1;
    const int output = from / axis.stride;
    return output < axis.out ? output : -1;
  }
  __device__ void begin(std::int64_t, std::int64_t first, std::int64_t, bool) { channel = first; }
  __device__ void at(std::int64_t row, std::int64_t offset, std::int64_t count, bool whole) const {
    const Pixel pixel = axes.inputs(row);
    float sum[kPack] = {};
    for (int kh = 0; kh < axes.h.kernel; ++kh) {
      const int oh = output_of(axes.h, pixel.h, kh);
      if (oh < 0) continue;
      for (int kw = 0; kw < axes.w.kernel; ++kw) {
        const int ow = output_of(axes.w, pixel.w, kw);
        if (ow < 0) continue;
        float slopes[kPack], weights[kPack];
        load_some<kPack>(dy + axes.outputs.number(pixel.image, oh, ow) * axes.channels + channel,
                         count, whole, slopes);
        load_some<kPack>(w + (kh * axes.w.kernel + kw) * axes.channels + channel, count, whole,
                         weights);
#pragma unroll
        for (int i = 0; i < kPack; ++i) sum[i] = fmaf(slopes[i], weights[i], sum[i]);
      }
    }
    if (add) {
      float before[kPack];
      load_some<kPack>(dx + offset, count, whole, before);
#pragma unroll
      for (int i = 0; i < kPack; ++i) sum[i] += before[i];
    }
    store_some<kPack>(dx + offset, count, whole, sum);
  }
};

// A group is a tap, a row a pixel of dy.
template <typename T>
struct WeightSums {
  static constexpr int kPack = gpu::kPack<T>, kSums = 1;
  Axes axes;
  const T *x, *dy;
  std::int64_t pixels;
  std::int64_t channel = 0, tap = 0;
  float total[kPack] = {};

  __device__ void begin(std::int64_t group, std::int64_t first, std::int64_t, bool) {
    channel = first;
    tap = group;
  }
  __device__ void add(std::int64_t row, std::int64_t, std::int64_t count, bool whole) {
    const std::int64_t number = row - tap * pixels;
    const Pixel pixel = axes.outputs(number);
    const int h = axes.h.input(pixel.h, static_cast<int>(tap) / axes.w.kernel);
    const int w = axes.w.input(pixel.w, static_cast<int>(tap) % axes.w.kernel);
    if (h < 0 || h >= axes.h.in || w < 0 || w >= axes.w.in) return;
    float values[kPack], slopes[kPack];
    load_some<kPack>(x + axes.inputs.number(pixel.image, h, w) * axes.channels + channel, count,
                     whole, values);
    load_some<kPack>(dy + number * axes.channels + channel, count, whole, slopes);
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

struct StoreWeight {
  float* dw;
  std::int64_t channels;
  __device__ void operator()(std::int64_t tap, std::int64_t channel, const float (&sum)[1]) const {
    dw[tap * channels + channel] = sum[0];
  }
};

}  // namespace

void depthwise_forward(Stream& stream, const ConvGeometry& g, const Tensor& x, const Tensor& w,
                       const Tensor& bias, Tensor& y) {
  for_element_type(x, "x", [&]<typename T>(T) {
    constexpr int N = kPack<T>;
    const Forward<T> map{.axes = axes_of(g, x.rows()),
                         .x = x.data<T>(),
                         .w = w.data<T>(),
                         .bias = optional_data<float>(bias),
                         .y = y.data<T>()};
    map_columns(raw(stream), "conv_forward", map, 1, x.rows() * g.out_h() * g.out_w(), g.in_c,
                all_aligned<N, T>({&x, &w, &y}) && all_aligned<N, float>({&bias}));
  });
}

void depthwise_backward_data(Stream& stream, const ConvGeometry& g, const Tensor& dy,
                             const Tensor& w, bool add, Tensor& dx) {
  for_element_type(dy, "dy", [&]<typename T>(T) {
    const BackwardData<T> map{.axes = axes_of(g, dy.rows()),
                              .dy = dy.data<T>(),
                              .w = w.data<T>(),
                              .dx = dx.data<T>(),
                              .add = add};
    map_columns(raw(stream), "conv_backward_data", map, 1, dy.rows() * g.in_h * g.in_w, g.in_c,
                all_aligned<kPack<T>, T>({&dy, &w, &dx}));
  });
}

void depthwise_backward_weights(Stream& stream, const ConvGeometry& g, const Tensor& x,
                                const Tensor& dy, Tensor& dw) {
  for_element_type(x, "x", [&]<typename T>(T) {
    const std::int64_t pixels = dy.rows() * g.out_h() * g.out_w();
    const WeightSums<T> sums{
        .axes = axes_of(g, x.rows()), .x = x.data<T>(), .dy = dy.data<T>(), .pixels = pixels};
    sum_columns(raw(stream), "conv_backward_weights", sums, StoreWeight{dw.data<float>(), g.in_c},
                g.kernel_h * g.kernel_w, pixels, g.in_c, all_aligned<kPack<T>, T>({&x, &dy}),
                floats_of(stream));
  });
}

}  // namespace lockstep::gpu
