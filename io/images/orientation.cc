#include "io/images/orientation.h"

#include <cstdint>
#include <cstring>

namespace lockstep {
namespace {

// Numbers of a TIFF structure in its own byte order; 0 beyond its end.
struct Tiff {
  std::span<const std::byte> bytes;
  bool big_endian = false;

  std::uint32_t number(std::size_t offset, std::size_t count) const {
    if (offset > bytes.size() || count > bytes.size() - offset) return 0;
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t place = offset + (big_endian ? i : count - 1 - i);
      value = value << 8 | std::to_integer<std::uint32_t>(bytes[place]);
    }
    return value;
  }
};

}  // namespace

int exif_orientation(std::span<const std::byte> tiff) {
  constexpr std::uint32_t kOrientation = 0x0112, kShort = 3;
  constexpr std::size_t kEntryBytes = 12;
  if (tiff.size() < 8) return 1;
  const Tiff data{tiff, tiff[0] == std::byte{'M'}};
  if (data.number(2, 2) != 42) return 1;
  const std::size_t directory = data.number(4, 4);
  const std::size_t entries = data.number(directory, 2);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + i * kEntryBytes;
    if (entry + kEntryBytes > tiff.size()) return 1;
    if (data.number(entry, 2) != kOrientation || data.number(entry + 2, 2) != kShort) continue;
    const std::uint32_t value = data.number(entry + 8, 2);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

void make_upright(const ImageView& from, int orientation, Image& to) {
  const bool sideways = orientation >= 5;
  to.reset(sideways ? from.width : from.height, sideways ? from.height : from.width, from.channels);
  // Where the result's row y, column x comes from: along which axis, and from which end.
  const bool from_bottom =
      orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const bool from_right =
      orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  for (std::int64_t y = 0; y < to.height(); ++y) {
    std::uint8_t* out = to.row(y);
    for (std::int64_t x = 0; x < to.width(); ++x, out += from.channels) {
      std::int64_t row = sideways ? x : y, column = sideways ? y : x;
      if (from_bottom) row = from.height - 1 - row;
      if (from_right) column = from.width - 1 - column;
      std::memcpy(out, from.row(row) + column * from.channels,
                  static_cast<std::size_t>(from.channels));
    }
  }
}

}  // namespace lockstep
