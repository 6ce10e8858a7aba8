// ImageTransform: one entry of data.augment that changes a single image. What it draws is a pure
// function of its SampleRandom; what it computes has the same bits on every processor.
#pragma once

#include "io/augment/image_span.h"
#include "io/augment/sample_random.h"

namespace lockstep {

class ImageTransform {
 public:
  virtual ~ImageTransform() = default;

  virtual Shape output_shape(const Shape& image) const { return image; }  // both (H, W, C)
  // Throws Error where it cannot take such images.
  virtual void check(const Shape& /*image*/, DType /*type*/) const {}
  // Whether it writes into the image that it reads: then apply() gets the same memory twice.
  virtual bool in_place() const = 0;
  virtual void apply(SampleRandom random, const ImageSpan& from, const ImageSpan& to,
                     AugmentWorkspace& workspace) const = 0;
};

// Two bounds of a uniform draw.
struct Interval {
  double low = 0, high = 0;
};

// Throws Error where a grey level or value cannot stand in an image of this type.
void check_level(double level, DType type);

}  // namespace lockstep
