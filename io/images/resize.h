// Resizing as Pillow's resize(BILINEAR) does it, bit by bit, and hence torchvision's antialiased
// Resize: a triangle filter as wide as the reduction asks for, weights in 22 bits, first along
// rows, rounded to 8 bits, then along columns.
//   w(x) = max(0, 1 - |x|), x = (place + 0.5 - centre) / max(1, scale)
// (Pillow, src/libImaging/Resample.c.)
#pragma once

#include <cstdint>
#include <vector>

#include "io/images/image.h"

namespace lockstep {

// A whole of (height, width), of which only a part is made.
struct ResizePlan {
  std::int64_t height = 0, width = 0;
  std::int64_t top = 0, left = 0, part_height = 0, part_width = 0;

  static ResizePlan all(std::int64_t height, std::int64_t width) {
    return {height, width, 0, 0, height, width};
  }
  // torchvision's Resize(shorter) and CenterCrop(size) of an image of this size. Throws Error
  // unless 1 <= size <= shorter.
  static ResizePlan shorter_side_and_centre(std::int64_t height, std::int64_t width,
                                            std::int64_t shorter, std::int64_t size);
};

// Places [begin, end) of an axis.
struct Places {
  std::int64_t begin = 0, end = 0;
};

// Keeps its memory from one image to the next; one a thread.
class Resizer {
 public:
  // `to` gets part_height x part_width x channels bytes. 1 to 4 channels.
  void resize(const ImageView& from, const ResizePlan& plan, std::uint8_t* to);
  // The columns of an image `width` wide that are looked at.
  Places columns(std::int64_t width, const ResizePlan& plan);
  // The same of an image `width` wide, of which `from` holds those columns, from `left` on.
  void resize_columns(const ImageView& from, std::int64_t left, std::int64_t width,
                      const ResizePlan& plan, std::uint8_t* to);

 private:
  // Weights of one axis, kept while images have the same size.
  struct Axis {
    std::int64_t from = 0, to = 0, begin = 0, count = 0, taps = 0;
    std::vector<std::int32_t> first, weights;
    void plan(std::int64_t from_size, std::int64_t to_size, std::int64_t to_begin,
              std::int64_t to_count);
    Places reach() const;  // of all places together
  };

  Axis across_, down_;
  std::vector<std::uint8_t> between_;
};

}  // namespace lockstep
