// ImageSpan: what a transform reads and writes, (H, W, C) of uint8 or float32 in memory of somebody
// else; and the memory that transforms need beside it, kept from sample to sample.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/core/dtype.h"
#include "kernels/core/shape.h"

namespace lockstep {

struct ImageSpan {
  std::byte* data = nullptr;
  DType type = DType::kUInt8;
  std::int64_t height = 0, width = 0, channels = 0;

  std::int64_t row_elements() const { return width * channels; }
  std::int64_t elements() const { return height * row_elements(); }
  std::size_t bytes() const { return static_cast<std::size_t>(elements()) * size_of(type); }
  template <typename T>
  T* row(std::int64_t y) const {
    return reinterpret_cast<T*>(data) + y * row_elements();
  }
};

// Grows to what the largest image needs and stays: no allocation a sample.
struct AugmentWorkspace {
  std::vector<std::byte> images[2];    // between two transforms
  std::vector<std::int32_t> places;    // of resampling: elements of the source by element
  std::vector<std::int32_t> weights;   // and the weight of each
  std::vector<std::int32_t> integers;  // two rows between its passes, of uint8 images
  std::vector<float> floats;           // the same of float32 images
};

// visit(T{}) with the type of the image's elements.
template <typename Visit>
void for_type(const ImageSpan& image, const Visit& visit) {
  if (image.type == DType::kUInt8)
    visit(std::uint8_t{});
  else
    visit(float{});
}

}  // namespace lockstep
