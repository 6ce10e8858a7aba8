// IDX files, the format of MNIST (Y. LeCun): a big-endian magic number 0x000008NN where NN is the
// number of axes, the axes as 32-bit numbers, then unsigned bytes. Plain or compressed by gzip.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "kernels/core/tensor.h"

namespace lockstep {

// Reads rows as they are asked for. Those of a compressed file are cheap in ascending order alone:
// going back starts again from the beginning.
class IdxReader {
 public:
  // `axes` is 3 for images, 1 for labels. Throws Error naming the file and both numbers if magic or
  // length are not what they must be; of a compressed file the length shows when its end is read.
  IdxReader(const std::string& path, int axes);
  ~IdxReader();

  const Shape& shape() const { return shape_; }
  void read(std::span<const std::int64_t> rows, std::byte* out);

 private:
  class GzFile;

  void check_length();

  std::unique_ptr<GzFile> file_;
  Shape shape_;
  std::int64_t row_bytes_ = 1, header_bytes_;
};

// The whole file as a uint8 host tensor.
Tensor read_idx(const std::string& path, int axes);

}  // namespace lockstep
