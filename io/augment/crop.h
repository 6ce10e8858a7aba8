// Crops and flips: which part of an image is seen, and from which side. Definitions and defaults
// are those of torchvision.transforms.
#pragma once

#include <optional>

#include "io/augment/resample.h"
#include "io/augment/transform.h"

namespace lockstep {

// The size of a result; not given: that of the image.
struct ImageSize {
  std::int64_t height = 0, width = 0;
};

// The part of `from` whose upper left corner is (top, left), as large as `to`; what lies outside of
// `from` has the level `fill`.
void crop(const ImageSpan& from, std::int64_t top, std::int64_t left, double fill,
          const ImageSpan& to);

// Mirrored in place.
void flip_horizontally(const ImageSpan& image);
void flip_vertically(const ImageSpan& image);

// RandomCrop: `padding` pixels of the level `fill` on all sides, then a crop from anywhere.
class RandomCrop final : public ImageTransform {
 public:
  RandomCrop(std::optional<ImageSize> size, std::int64_t padding, double fill)
      : size_(size), padding_(padding), fill_(fill) {}
  Shape output_shape(const Shape& image) const override;
  void check(const Shape& image, DType type) const override;
  bool in_place() const override { return false; }
  void apply(SampleRandom random, const ImageSpan& from, const ImageSpan& to,
             AugmentWorkspace& workspace) const override;

 private:
  std::optional<ImageSize> size_;
  std::int64_t padding_;
  double fill_;
};

// RandomResizedCrop: a box of a share `scale` of the area and of a ratio width / height, stretched
// to the size. Bilinear, without antialiasing.
class RandomResizedCrop final : public ImageTransform {
 public:
  RandomResizedCrop(std::optional<ImageSize> size, Interval scale, Interval ratio)
      : size_(size), scale_(scale), ratio_(ratio) {}
  Shape output_shape(const Shape& image) const override;
  bool in_place() const override { return false; }
  void apply(SampleRandom random, const ImageSpan& from, const ImageSpan& to,
             AugmentWorkspace& workspace) const override;
  PixelBox box(SampleRandom random, std::int64_t height, std::int64_t width) const;

 private:
  std::optional<ImageSize> size_;
  Interval scale_, ratio_;
};

// RandomHorizontalFlip and RandomVerticalFlip, each with probability p.
class RandomFlip final : public ImageTransform {
 public:
  enum class Axis { kHorizontal, kVertical };
  RandomFlip(Axis axis, double p) : axis_(axis), p_(p) {}
  bool in_place() const override { return true; }
  void apply(SampleRandom random, const ImageSpan& from, const ImageSpan& to,
             AugmentWorkspace& workspace) const override;

 private:
  Axis axis_;
  double p_;
};

}  // namespace lockstep
