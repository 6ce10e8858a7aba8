// PNG images as 8-bit pixels, through libpng.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "io/images/image.h"
#include "kernels/core/tensor.h"

namespace lockstep {

struct PngHeader {
  std::int64_t height = 0, width = 0;
  std::int64_t channels = 0;  // of the pixels that decoding gives, 1 to 4
  int orientation = 1;        // as in orientation.h
};

// Palettes become colours, 16 bits and fewer than 8 become 8; an opacity that the file has stays
// a channel. Interlaced files are read like others; colour profiles are not applied.
class PngReader {
 public:
  // Reads the header. `bytes` is the whole file and must outlive this. Throws Error, naming `name`.
  PngReader(std::span<const std::byte> bytes, std::string name);
  ~PngReader();
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  const PngHeader& header() const;
  void decode(Image& to);  // once a reader; throws Error: damaged, truncated

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// An image of 1 to 4 channels; the file appears complete or not at all.
void write_png(const std::string& path, const Tensor& image);

// The file's bytes, for containers that hold images.
std::string encode_png(const Tensor& image);

}  // namespace lockstep
