// What evaluation sees where training sees images of another size than the stored ones (a random
// crop): the middle of every image, of that size.
#pragma once

#include <memory>

#include "io/dataset/dataset.h"
#include "io/images/resize.h"

namespace lockstep {

// Which part of a stored image becomes a result of height x width: the middle 7/8 of the largest
// box of the result's shape, as for ImageNet (224 of 256); more where it would be smaller than the
// result, at most all of it.
ResizePlan centre_plan(std::int64_t stored_height, std::int64_t stored_width, std::int64_t height,
                       std::int64_t width);

// The dataset with every image resized and cut as centre_plan says, as by torchvision's Resize
// (antialiased) and CenterCrop. `sample`: (height, width, channels), with the channels of the
// dataset's images.
std::shared_ptr<const Dataset> centre_view(std::shared_ptr<const Dataset> dataset,
                                           const Shape& sample);

}  // namespace lockstep
