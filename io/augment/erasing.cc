#include "io/augment/erasing.h"

#include <algorithm>
#include <cmath>

#include "kernels/core/error.h"
#include "kernels/core/portable_math.h"

namespace lockstep {

namespace {

constexpr int kTries = 10;  // torchvision's, before nothing is erased

void check_levels(const std::vector<double>& levels, const Shape& image, DType type) {
  for (const double level : levels) check_level(level, type);
  if (levels.size() != 1 && static_cast<std::int64_t>(levels.size()) != image[2])
    throw Error("'value' has {} numbers, the images have {} channels", levels.size(), image[2]);
}

}  // namespace

void paint(const ImageSpan& image, const PixelBox& box, const std::vector<double>& levels) {
  for_type(image, [&](auto type) {
    using T = decltype(type);
    for (std::int64_t y = box.top; y < box.top + box.height; ++y)
      for (std::int64_t x = box.left; x < box.left + box.width; ++x)
        for (std::int64_t c = 0; c < image.channels; ++c)
          image.row<T>(y)[x * image.channels + c] =
              static_cast<T>(levels[levels.size() == 1 ? 0 : static_cast<std::size_t>(c)]);
  });
}

void RandomErasing::check(const Shape& image, DType type) const {
  check_levels(options_.levels, image, type);
}

PixelBox RandomErasing::box(SampleRandom random, std::int64_t height, std::int64_t width) const {
  const Interval log_ratio{natural_log(options_.ratio.low), natural_log(options_.ratio.high)};
  if (!random.chance(options_.p)) return {};
  const auto image_height = static_cast<double>(height), image_width = static_cast<double>(width);
  for (int attempt = 0; attempt < kTries; ++attempt) {
    const double area =
        image_height * image_width * random.uniform(options_.scale.low, options_.scale.high);
    const double ratio = exponential(random.uniform(log_ratio.low, log_ratio.high));
    const double box_height = std::nearbyint(std::sqrt(area * ratio));
    const double box_width = std::nearbyint(std::sqrt(area / ratio));
    if (!(box_height < image_height && box_width < image_width)) continue;
    PixelBox box{0, 0, static_cast<std::int64_t>(box_height), static_cast<std::int64_t>(box_width)};
    box.top = random.below(height - box.height + 1);
    box.left = random.below(width - box.width + 1);
    return box;
  }
  return {};
}

void RandomErasing::apply(SampleRandom random, const ImageSpan&, const ImageSpan& to,
                          AugmentWorkspace&) const {
  paint(to, box(random, to.height, to.width), options_.levels);
}

void Cutout::check(const Shape& image, DType type) const {
  check_levels(levels_, image, type);
}

PixelBox Cutout::box(SampleRandom random, std::int64_t height, std::int64_t width) const {
  if (!random.chance(p_)) return {};
  const std::int64_t top = random.below(height) - size_ / 2, left = random.below(width) - size_ / 2;
  PixelBox box{std::max<std::int64_t>(top, 0), std::max<std::int64_t>(left, 0), 0, 0};
  box.height = std::max<std::int64_t>(std::min(top + size_, height) - box.top, 0);
  box.width = std::max<std::int64_t>(std::min(left + size_, width) - box.left, 0);
  return box;
}

void Cutout::apply(SampleRandom random, const ImageSpan&, const ImageSpan& to,
                   AugmentWorkspace&) const {
  paint(to, box(random, to.height, to.width), levels_);
}

}  // namespace lockstep
