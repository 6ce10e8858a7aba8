// The sum over all rows of each column: gradients of biases.
#pragma once

#include "kernels/core/device.h"

namespace lockstep::gpu {

// x (..., columns), float32 or bfloat16; totals (columns), float32. Zeros where x has no rows.
void column_total(Stream& stream, const char* name, const Tensor& x, std::int64_t columns,
                  Tensor& totals);

}  // namespace lockstep::gpu
