#include "io/augment/crop.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/core/error.h"
#include "kernels/core/portable_math.h"

namespace lockstep {

namespace {

constexpr int kTries = 10;  // torchvision's, before it takes the middle of the image

Shape resized(const Shape& image, const std::optional<ImageSize>& size) {
  return size ? Shape{size->height, size->width, image[2]} : image;
}

template <typename T>
void crop_typed(const ImageSpan& from, std::int64_t top, std::int64_t left, T fill,
                const ImageSpan& to) {
  const std::int64_t begin = std::clamp<std::int64_t>(-left, 0, to.width);
  const std::int64_t end = std::clamp<std::int64_t>(from.width - left, begin, to.width);
  for (std::int64_t y = 0; y < to.height; ++y) {
    T* const out = to.row<T>(y);
    if (top + y < 0 || top + y >= from.height) {
      std::fill_n(out, to.row_elements(), fill);
      continue;
    }
    std::fill_n(out, begin * to.channels, fill);
    std::copy_n(from.row<T>(top + y) + (left + begin) * to.channels, (end - begin) * to.channels,
                out + begin * to.channels);
    std::fill(out + end * to.channels, out + to.row_elements(), fill);
  }
}

template <typename T, std::int64_t kChannels>
void flip_rows(const ImageSpan& image, std::int64_t channels) {
  if constexpr (kChannels > 0) channels = kChannels;
  for (std::int64_t y = 0; y < image.height; ++y) {
    T* left = image.row<T>(y);
    T* right = left + (image.width - 1) * channels;
    for (; left < right; left += channels, right -= channels)
      for (std::int64_t c = 0; c < channels; ++c) std::swap(left[c], right[c]);
  }
}

}  // namespace

void check_level(double level, DType type) {
  if (type != DType::kUInt8 || (level >= 0 && level <= 255 && level == std::floor(level))) return;
  throw Error("the images are uint8, whose levels are whole numbers from 0 to 255, not {}", level);
}

void crop(const ImageSpan& from, std::int64_t top, std::int64_t left, double fill,
          const ImageSpan& to) {
  for_type(to, [&](auto type) {
    crop_typed<decltype(type)>(from, top, left, static_cast<decltype(type)>(fill), to);
  });
}

void flip_horizontally(const ImageSpan& image) {
  for_type(image, [&](auto type) {
    using T = decltype(type);
    if (image.channels == 3)
      flip_rows<T, 3>(image, 3);
    else if (image.channels == 1)
      flip_rows<T, 1>(image, 1);
    else
      flip_rows<T, 0>(image, image.channels);
  });
}

void flip_vertically(const ImageSpan& image) {
  const auto bytes = static_cast<std::ptrdiff_t>(image.row_elements()) *
                     static_cast<std::ptrdiff_t>(size_of(image.type));
  for (std::int64_t y = 0; y < image.height / 2; ++y) {
    std::byte* const upper = image.data + y * bytes;
    std::swap_ranges(upper, upper + bytes, image.data + (image.height - 1 - y) * bytes);
  }
}

Shape RandomCrop::output_shape(const Shape& image) const {
  return resized(image, size_);
}

void RandomCrop::check(const Shape& image, DType type) const {
  check_level(fill_, type);
  const Shape result = resized(image, size_);
  for (const int axis : {0, 1})
    if (result[axis] > image[axis] + 2 * padding_)
      throw Error("a crop of {} x {} pixels does not fit into {} x {} with a padding of {}",
                  result[0], result[1], image[0], image[1], padding_);
}

void RandomCrop::apply(SampleRandom random, const ImageSpan& from, const ImageSpan& to,
                       AugmentWorkspace&) const {
  const std::int64_t top = random.below(from.height + 2 * padding_ - to.height + 1) - padding_;
  const std::int64_t left = random.below(from.width + 2 * padding_ - to.width + 1) - padding_;
  crop(from, top, left, fill_, to);
}

Shape RandomResizedCrop::output_shape(const Shape& image) const {
  return resized(image, size_);
}

PixelBox RandomResizedCrop::box(SampleRandom random, std::int64_t height,
                                std::int64_t width) const {
  const auto image_height = static_cast<double>(height), image_width = static_cast<double>(width);
  const Interval log_ratio{natural_log(ratio_.low), natural_log(ratio_.high)};
  for (int attempt = 0; attempt < kTries; ++attempt) {
    const double area = image_height * image_width * random.uniform(scale_.low, scale_.high);
    const double ratio = exponential(random.uniform(log_ratio.low, log_ratio.high));
    const double box_width = std::nearbyint(std::sqrt(area * ratio));
    const double box_height = std::nearbyint(std::sqrt(area / ratio));
    if (!(box_width >= 1 && box_width <= image_width && box_height >= 1 &&
          box_height <= image_height))
      continue;
    PixelBox box{0, 0, static_cast<std::int64_t>(box_height), static_cast<std::int64_t>(box_width)};
    box.top = random.below(height - box.height + 1);
    box.left = random.below(width - box.width + 1);
    return box;
  }
  // The middle of the image, as much of it as the ratios allow.
  const double ratio = std::clamp(image_width / image_height, ratio_.low, ratio_.high);
  const double box_width = std::clamp(std::nearbyint(image_height * ratio), 1.0, image_width);
  const double box_height = std::clamp(std::nearbyint(image_width / ratio), 1.0, image_height);
  PixelBox box{0, 0, static_cast<std::int64_t>(box_height), static_cast<std::int64_t>(box_width)};
  box.top = (height - box.height) / 2;
  box.left = (width - box.width) / 2;
  return box;
}

void RandomResizedCrop::apply(SampleRandom random, const ImageSpan& from, const ImageSpan& to,
                              AugmentWorkspace& workspace) const {
  resize_box(from, box(random, from.height, from.width), to, workspace);
}

void RandomFlip::apply(SampleRandom random, const ImageSpan&, const ImageSpan& to,
                       AugmentWorkspace&) const {
  if (!random.chance(p_)) return;
  if (axis_ == Axis::kHorizontal)
    flip_horizontally(to);
  else
    flip_vertically(to);
}

}  // namespace lockstep
