// From the channels that an image has to those that are wanted, as Pillow's convert() does it:
// grey to equal colours; colours to grey by ITU-R 601's luma, in 16 bits; an opacity is left out,
// or full where the image has none.
#pragma once

#include "io/images/image.h"

namespace lockstep {

// `channels` is 1 to 4.
void convert_channels(const ImageView& from, std::int64_t channels, Image& to);

}  // namespace lockstep
