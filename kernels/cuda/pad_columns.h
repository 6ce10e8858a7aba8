// Rows of matrices with zeros behind them, up to a width that a library's kernels like, and back.
#pragma once

#include "kernels/cuda/stream.h"

namespace lockstep::gpu {

// from (rows, columns), float32 or bfloat16, to bfloat16 (rows, wide).
void pad_columns(Stream& stream, const Tensor& from, std::int64_t columns, std::int64_t wide,
                 void* to);
// to (..., columns), float32 or bfloat16, from bfloat16 (rows, wide); add: to what it holds.
void strip_columns(Stream& stream, const void* from, std::int64_t columns, std::int64_t wide,
                   bool add, Tensor& to);

}  // namespace lockstep::gpu
