// Random affine maps: rotation, shift, scale and shear, as torchvision.transforms.RandomRotation
// and RandomAffine draw them. Bilinear; what comes from outside of the image has one level.
#pragma once

#include "io/augment/resample.h"
#include "io/augment/transform.h"

namespace lockstep {

struct RandomAffineOptions {
  Interval degrees{};                       // clockwise
  double translate_x = 0, translate_y = 0;  // largest shift, as a share of width and height
  Interval scale{1, 1};
  Interval shear{};  // degrees, along x
  double fill = 0;
};

class RandomAffine final : public ImageTransform {
 public:
  explicit RandomAffine(const RandomAffineOptions& options) : options_(options) {}
  void check(const Shape& image, DType type) const override;
  bool in_place() const override { return false; }
  void apply(SampleRandom random, const ImageSpan& from, const ImageSpan& to,
             AugmentWorkspace& workspace) const override;
  AffineParameters parameters(SampleRandom random, std::int64_t height, std::int64_t width) const;

 private:
  RandomAffineOptions options_;
};

}  // namespace lockstep
