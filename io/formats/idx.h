// IDX files, the format of MNIST (Y. LeCun): a big-endian magic number 0x000008NN where NN is the
// number of axes, the axes as 32-bit numbers, then unsigned bytes. Plain or compressed by gzip.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/core/tensor.h"

namespace lockstep {

// A uint8 host tensor of the file's shape with `axes` axes: 3 for images, 1 for labels. Throws
// Error naming the file and both numbers if magic or length are not what they must be.
Tensor read_idx(const std::string& path, int axes);

}  // namespace lockstep
