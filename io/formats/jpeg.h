// JPEG images as 8-bit pixels, through libjpeg-turbo: baseline and progressive; grey, YCbCr, RGB,
// and CMYK and YCCK as Adobe stores them (inverted).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "io/images/image.h"

namespace lockstep {

struct JpegHeader {
  std::int64_t height = 0, width = 0;
  std::int64_t channels = 0;  // of the pixels that decoding gives: 1 for grey, else 3
  int orientation = 1;        // as in orientation.h
  bool progressive = false;
};

class JpegReader {
 public:
  // Reads the header. `bytes` is the whole file and must outlive this. Throws Error, naming `name`.
  JpegReader(std::span<const std::byte> bytes, std::string name);
  ~JpegReader();
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  const JpegHeader& header() const;
  // Memory that decode() takes beside the pixels: a progressive file's coefficients.
  std::size_t working_bytes() const;

  // Pixels of `channels` (1 or 3, not less than the header's). `shrink` is 1, 2, 4 or 8: each side
  // is divided by it, rounded up, by decoding fewer frequencies. Once a reader. Throws Error:
  // damaged, truncated.
  void decode(std::int64_t channels, int shrink, Image& to);
  // At least these rows and columns of that; `to` holds more of them where blocks begin and end
  // elsewhere, and the answer says where it lies. All of the file is read, so damage anywhere is
  // found.
  PartOf decode_part(std::int64_t channels, int shrink, Places rows, Places columns, Image& to);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lockstep
