// Images of 8-bit pixels in memory: rows from the top, pixels from the left, the channels of a
// pixel side by side (1: grey; 2: grey, opacity; 3: RGB; 4: RGB, opacity).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lockstep {

// Pixels that somebody else owns; a part of an image is a view with the whole image's row_bytes.
struct ImageView {
  const std::uint8_t* pixels = nullptr;
  std::int64_t height = 0, width = 0, channels = 0;
  std::int64_t row_bytes = 0;  // from one row's start to the next one's

  const std::uint8_t* row(std::int64_t y) const { return pixels + y * row_bytes; }
  ImageView part(std::int64_t top, std::int64_t left, std::int64_t part_height,
                 std::int64_t part_width) const {
    return {row(top) + left * channels, part_height, part_width, channels, row_bytes};
  }
};

// Places [begin, end) of an axis.
struct Places {
  std::int64_t begin = 0, end = 0;
};

// Where a part lies in an image of (height, width).
struct PartOf {
  std::int64_t height = 0, width = 0;
  std::int64_t top = 0, left = 0;
};

// Its memory grows and is used again, so that thousands of images need few allocations.
class Image {
 public:
  // Contents are undefined afterwards.
  void reset(std::int64_t height, std::int64_t width, std::int64_t channels) {
    height_ = height;
    width_ = width;
    channels_ = channels;
    const auto bytes = static_cast<std::size_t>(height * width * channels);
    if (pixels_.size() < bytes) pixels_.resize(bytes);
  }

  std::int64_t height() const { return height_; }
  std::int64_t width() const { return width_; }
  std::int64_t channels() const { return channels_; }
  std::int64_t row_bytes() const { return width_ * channels_; }
  std::size_t bytes() const { return static_cast<std::size_t>(height_ * row_bytes()); }
  std::uint8_t* row(std::int64_t y) { return pixels_.data() + y * row_bytes(); }
  const std::uint8_t* row(std::int64_t y) const { return pixels_.data() + y * row_bytes(); }
  ImageView view() const { return {pixels_.data(), height_, width_, channels_, row_bytes()}; }

 private:
  std::vector<std::uint8_t> pixels_;
  std::int64_t height_ = 0, width_ = 0, channels_ = 0;
};

}  // namespace lockstep
