// Writer of NumPy's .npy, format version 1.0 (numpy.lib.format): float32 and int64 tensors.
#pragma once

#include <string>

#include "kernels/core/tensor.h"

namespace lockstep {

void write_npy(const std::string& path, const Tensor& host_tensor);  // atomic

}  // namespace lockstep
