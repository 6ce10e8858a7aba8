// What follows a product or a convolution in evaluation: checks of its tensors, and the form in
// which the kernels take it.
#pragma once

#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/tile_epilogue.h"
#include "kernels/cpu/vector_kernels.h"

namespace lockstep::cpu {

class OutputEpilogue {
 public:
  // y: the output that the tiles are parts of.
  OutputEpilogue(const VectorKernels& kernels, const Epilogue& epilogue, const Tensor& y);

  const TileEpilogue& tile() const { return tile_; }

 private:
  std::vector<float> factors_;  // the stream's workspace is the product's
  TileEpilogue tile_;
};

}  // namespace lockstep::cpu
