#include "io/augment/affine.h"

#include <cmath>

namespace lockstep {

void RandomAffine::check(const Shape&, DType type) const {
  check_level(options_.fill, type);
}

AffineParameters RandomAffine::parameters(SampleRandom random, std::int64_t height,
                                          std::int64_t width) const {
  const double most_x = options_.translate_x * static_cast<double>(width);
  const double most_y = options_.translate_y * static_cast<double>(height);
  AffineParameters result;
  result.degrees = random.uniform(options_.degrees.low, options_.degrees.high);
  result.shift_x = std::nearbyint(random.uniform(-most_x, most_x));  // whole pixels
  result.shift_y = std::nearbyint(random.uniform(-most_y, most_y));
  result.scale = random.uniform(options_.scale.low, options_.scale.high);
  result.shear_x = random.uniform(options_.shear.low, options_.shear.high);
  return result;
}

void RandomAffine::apply(SampleRandom random, const ImageSpan& from, const ImageSpan& to,
                         AugmentWorkspace&) const {
  const AffineParameters drawn = parameters(random, from.height, from.width);
  warp(from, inverse_affine_map(drawn, from.height, from.width), options_.fill, to);
}

}  // namespace lockstep
