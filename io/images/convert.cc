#include "io/images/convert.h"

#include "kernels/core/error.h"

namespace lockstep {
namespace {

// (Pillow, src/libImaging/Convert.c: L24.)
std::uint8_t luma(const std::uint8_t* rgb) {
  return static_cast<std::uint8_t>((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >>
                                   16);
}

template <int kFrom, int kTo>
void convert_row(const std::uint8_t* from, std::int64_t width, std::uint8_t* to) {
  constexpr bool kFromColour = kFrom >= 3, kToColour = kTo >= 3;
  for (std::int64_t x = 0; x < width; ++x, from += kFrom, to += kTo) {
    if constexpr (kToColour)
      for (int c = 0; c < 3; ++c) to[c] = from[kFromColour ? c : 0];
    else
      to[0] = kFromColour ? luma(from) : from[0];
    if constexpr (kTo % 2 == 0) to[kTo - 1] = kFrom % 2 == 0 ? from[kFrom - 1] : 255;
  }
}

template <int kFrom>
void convert_row(const std::uint8_t* from, std::int64_t width, std::int64_t channels,
                 std::uint8_t* to) {
  switch (channels) {
    case 1:
      return convert_row<kFrom, 1>(from, width, to);
    case 2:
      return convert_row<kFrom, 2>(from, width, to);
    case 3:
      return convert_row<kFrom, 3>(from, width, to);
    default:
      return convert_row<kFrom, 4>(from, width, to);
  }
}

}  // namespace

void convert_channels(const ImageView& from, std::int64_t channels, Image& to) {
  LOCKSTEP_CHECK(from.channels >= 1 && from.channels <= 4 && channels >= 1 && channels <= 4,
                 "{} channels from {}", channels, from.channels);
  to.reset(from.height, from.width, channels);
  for (std::int64_t y = 0; y < from.height; ++y) {
    const std::uint8_t* const row = from.row(y);
    switch (from.channels) {
      case 1:
        convert_row<1>(row, from.width, channels, to.row(y));
        break;
      case 2:
        convert_row<2>(row, from.width, channels, to.row(y));
        break;
      case 3:
        convert_row<3>(row, from.width, channels, to.row(y));
        break;
      default:
        convert_row<4>(row, from.width, channels, to.row(y));
    }
  }
}

}  // namespace lockstep
