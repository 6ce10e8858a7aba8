// Which way up a camera held the image: EXIF's orientation.
//   1 upright                        5 rows are the upright image's columns
//   2 mirrored, left and right       6 turned; a quarter turn to the right makes it upright
//   3 upside down                    7 both: rows are columns, and upside down
//   4 mirrored, top and bottom       8 turned; a quarter turn to the left makes it upright
#pragma once

#include <cstddef>
#include <span>

#include "io/images/image.h"

namespace lockstep {

// Of EXIF data from their TIFF header on ("II*" or "MM*"); 1 where they do not say, or not soundly.
int exif_orientation(std::span<const std::byte> tiff);

// `to` is `from` upright.
void make_upright(const ImageView& from, int orientation, Image& to);

}  // namespace lockstep
