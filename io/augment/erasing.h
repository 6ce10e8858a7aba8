// Parts of an image painted over: random erasing (Zhong et al. 2017) as torchvision's RandomErasing
// draws it, and cutout (DeVries and Taylor 2017).
#pragma once

#include <vector>

#include "io/augment/resample.h"
#include "io/augment/transform.h"

namespace lockstep {

// `levels`: one for all channels, or one a channel; of the stored images, before normalisation.
void paint(const ImageSpan& image, const PixelBox& box, const std::vector<double>& levels);

struct RandomErasingOptions {
  double p = 0.5;
  Interval scale{0.02, 0.33};  // share of the area
  Interval ratio{0.3, 3.3};    // height / width
  std::vector<double> levels{0};
};

class RandomErasing final : public ImageTransform {
 public:
  explicit RandomErasing(RandomErasingOptions options) : options_(std::move(options)) {}
  void check(const Shape& image, DType type) const override;
  bool in_place() const override { return true; }
  void apply(SampleRandom random, const ImageSpan& from, const ImageSpan& to,
             AugmentWorkspace& workspace) const override;
  PixelBox box(SampleRandom random, std::int64_t height, std::int64_t width) const;  // may be empty

 private:
  RandomErasingOptions options_;
};

// A square whose middle is any pixel of the image; what lies outside is cut off.
class Cutout final : public ImageTransform {
 public:
  Cutout(std::int64_t size, double p, std::vector<double> levels)
      : size_(size), p_(p), levels_(std::move(levels)) {}
  void check(const Shape& image, DType type) const override;
  bool in_place() const override { return true; }
  void apply(SampleRandom random, const ImageSpan& from, const ImageSpan& to,
             AugmentWorkspace& workspace) const override;
  PixelBox box(SampleRandom random, std::int64_t height, std::int64_t width) const;  // may be empty

 private:
  std::int64_t size_;
  double p_;
  std::vector<double> levels_;
};

}  // namespace lockstep
