// Places in images (N, H, W, C) for kernels that walk over their pixels, and the windows that
// convolutions and pooling lay over them.
#pragma once

#include "kernels/core/error.h"
#include "kernels/cuda/kernel.h"

namespace lockstep::gpu {

struct Pixel {
  std::int64_t image;
  int h, w;
};

// Pixels of all images are counted in 32 bits, whose division is a few instructions.
struct PixelGrid {
  unsigned height, width;

  __device__ __forceinline__ Pixel operator()(std::int64_t number) const {
    const auto pixel = static_cast<unsigned>(number);
    const unsigned row = pixel / width;
    return {row / height, static_cast<int>(row % height), static_cast<int>(pixel % width)};
  }
  __device__ __forceinline__ std::int64_t number(std::int64_t image, int h, int w) const {
    return (image * height + h) * width + w;
  }
};

inline PixelGrid pixel_grid(std::int64_t images, std::int64_t height, std::int64_t width) {
  LOCKSTEP_CHECK(images * height * width < std::int64_t{1} << 32,
                 "{} images of {} x {} pixels are more than 2^32 pixels", images, height, width);
  return {static_cast<unsigned>(height), static_cast<unsigned>(width)};
}

// One axis of a window: input = output · stride - pad + tap · dilation.
struct WindowAxis {
  int in, out, kernel, stride, pad, dilation = 1;

  __device__ __forceinline__ int input(int output, int tap) const {
    return output * stride - pad + tap * dilation;
  }
  // The outputs [first, end) whose windows reach an input, for a dilation of 1.
  __device__ __forceinline__ int first_output(int input) const {
    const int first = input + pad - kernel + 1;
    return first <= 0 ? 0 : (first + stride - 1) / stride;
  }
  __device__ __forceinline__ int end_output(int input) const {
    const int last = (input + pad) / stride + 1;
    return last < out ? last : out;
  }
};

}  // namespace lockstep::gpu
