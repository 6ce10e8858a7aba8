// What the checksum of data covers, independent of file layout and chunking: the type, shape and
// values (after conversion) of x, y and weight of each split. Prepared files carry it, as attribute
// `checksum` of each split's group and of the root; foreign files are read in full for theirs.
//
//   split  XXH64 over, for each of x, y, weight that there is: "x uint8 (100, 28, 28, 1)\n" and the
//          values, little-endian
//   file   XXH64 over a line for each split that there is: "train 0123456789abcdef\n"
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/checksum.h"
#include "kernels/core/tensor.h"

namespace lockstep {

// Streaming form of a split's: array() once each for x, y, weight, then its values in pieces.
class SplitChecksum {
 public:
  void array(std::string_view name, DType type, const Shape& shape);
  void values(std::span<const std::byte> bytes) { sum_.update(bytes); }
  std::string text() const { return checksum_text(sum_.value()); }

 private:
  Checksum sum_;
};

// Of host tensors; y and weight may be undefined.
std::string split_checksum(const Tensor& x, const Tensor& y, const Tensor& weight);

// `splits`: name ("train") and checksum of each, in the order train, validation, test.
std::string file_checksum(std::span<const std::pair<std::string, std::string>> splits);

}  // namespace lockstep
