// The checksum of a part's contents while its rows pass by: of type, shape and values of x, y and
// weight, each array by itself, so that it does not depend on how the rows are cut into blocks.
#pragma once

#include <string>

#include "io/base/checksum.h"
#include "io/dataset/row_source.h"

namespace lockstep {

class ContentsChecksum {
 public:
  explicit ContentsChecksum(const RowLayout& layout) : layout_(layout) {}
  void add(const RowBlock& rows);  // in file order
  std::string text() const;        // 16 hexadecimal digits

 private:
  RowLayout layout_;
  std::int64_t rows_ = 0;
  Checksum x_, y_, weight_;
};

}  // namespace lockstep
