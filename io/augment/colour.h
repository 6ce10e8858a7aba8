// Colour jitter of uint8 images: brightness, contrast, saturation and hue as
// torchvision.transforms.functional computes them for uint8 tensors (results are cut, not rounded).
#pragma once

#include "io/augment/transform.h"

namespace lockstep {

// In place; of one channel (grey) or three (RGB). Factor 1 leaves the image as it is.
void adjust_brightness(const ImageSpan& image, double factor);  // blends with black
void adjust_contrast(const ImageSpan& image, double factor);    // with the mean of its grey levels
void adjust_saturation(const ImageSpan& image, double factor);  // RGB: with its grey image
void adjust_hue(const ImageSpan& image, double turn);           // RGB: turns of the colour circle

struct ColourJitterOptions {
  Interval brightness{1, 1}, contrast{1, 1}, saturation{1, 1};  // factors
  Interval hue{};                                               // turns, in [-0.5, 0.5]
};

// torchvision's ColorJitter: the four in random order, each by a random amount.
class ColourJitter final : public ImageTransform {
 public:
  explicit ColourJitter(const ColourJitterOptions& options) : options_(options) {}
  void check(const Shape& image, DType type) const override;
  bool in_place() const override { return true; }
  void apply(SampleRandom random, const ImageSpan& from, const ImageSpan& to,
             AugmentWorkspace& workspace) const override;

 private:
  ColourJitterOptions options_;
};

}  // namespace lockstep
