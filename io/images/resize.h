// Resizing as Pillow's resize(BILINEAR) does it, bit by bit, and hence torchvision's antialiased
// Resize: a triangle filter as wide as the reduction asks for, weights in 22 bits, first along
// rows, rounded to 8 bits, then along columns.
//   w(x) = max(0, 1 - |x|), x = (place + 0.5 - centre) / max(1, scale)
// (Pillow, src/libImaging/Resample.c.)
#pragma once

#include <cstdint>
#include <vector>

#include "io/images/image.h"
#include "io/images/resize_lanes.h"

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
  // The middle of (height, width): torchvision's CenterCrop.
  static ResizePlan centre(std::int64_t height, std::int64_t width, std::int64_t part_height,
                           std::int64_t part_width);
};

// What one place of a result is made of: neighbours from `begin` on, weighted; the sum is 1.
struct TriangleWeights {
  std::int64_t begin = 0;
  std::vector<double> weights;
};
// Of an axis of `from` places that becomes one of `to`.
TriangleWeights triangle_weights(std::int64_t place, std::int64_t from, std::int64_t to);

constexpr std::int64_t kMostResizeChannels = 4;

// Loops for the processor at hand, or for any; the pixels are the same.
enum class ResizeLoops { kPlain, kAvx2, kVnni };
ResizeLoops fastest_resize_loops();

// Keeps its memory from one image to the next; one a thread.
class Resizer {
 public:
  explicit Resizer(ResizeLoops loops = fastest_resize_loops()) : loops_(loops) {}

  // `to` gets part_height x part_width x channels bytes. 1 to kMostResizeChannels channels.
  void resize(const ImageView& from, const ResizePlan& plan, std::uint8_t* to);
  // The rows and columns that are looked at of an image of (height, width).
  Places rows(std::int64_t height, const ResizePlan& plan);
  Places columns(std::int64_t width, const ResizePlan& plan);
  // The same of an image of which `from` holds at least those rows and columns.
  void resize_part(const ImageView& from, const PartOf& whole, const ResizePlan& plan,
                   std::uint8_t* to);

 private:
  // Weights of one axis, kept while images have the same size.
  struct Axis {
    std::int64_t from = 0, to = 0, begin = 0, count = 0, taps = 0;
    std::vector<std::int32_t> first, weights;
    ResizeDigits digits;
    ResizeRowPlan lanes;
    void plan(std::int64_t from_size, std::int64_t to_size, std::int64_t to_begin,
              std::int64_t to_count);
    ResizeTaps after(std::int64_t skipped) const {
      return {first.data(), weights.data(), taps, count, skipped};
    }
    Places reach() const;  // of all places together
  };

  void go_across(const ImageView& from, std::int64_t skipped, std::int64_t to_row_bytes);
  void go_down(std::int64_t row_bytes, std::int64_t from_row_bytes, std::int64_t skipped,
               std::uint8_t* to);

  ResizeLoops loops_;
  Axis across_, down_;
  std::vector<std::uint8_t> between_;
};

}  // namespace lockstep
