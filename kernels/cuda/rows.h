// Kernels in which a warp holds one row of a tensor (rows, width). Lane l has the packs of N
// neighbours that start at N (l + 32 k), in the order of k, whatever their alignment.
#pragma once

#include "kernels/cuda/kernel.h"

namespace lockstep::gpu {

inline constexpr unsigned kRowWarps = 4;  // of a block, a row each

// The row of the calling warp; a whole warp beyond the last row has none and leaves.
__device__ __forceinline__ std::int64_t row_of_warp() {
  return static_cast<std::int64_t>(blockIdx.x) * kRowWarps + threadIdx.x / kWarp;
}

// step(start, count, whole) for the lane's packs of a row.
template <int N, typename Step>
__device__ __forceinline__ void for_lane_packs(std::int64_t width, bool aligned, const Step& step) {
  const std::int64_t first = static_cast<std::int64_t>(threadIdx.x % kWarp) * N;
  for (std::int64_t start = first; start < width; start += kWarp * N) {
    const std::int64_t count = width - start < N ? width - start : N;
    step(start, count, aligned && count == N);
  }
}

// Row: kPack; operator()(row, aligned) is called by all lanes of the row's warp.
template <typename Row>
__global__ void __launch_bounds__(kRowWarps* kWarp)
    row_kernel(Row row, std::int64_t rows, bool aligned) {
  const std::int64_t number = row_of_warp();
  if (number >= rows) return;
  row(number, aligned);
}

// aligned_addresses: whether packs may be read at the start of every tensor.
template <typename Row>
void for_rows(RawStream stream, const char* name, const Row& row, std::int64_t rows,
              std::int64_t width, bool aligned_addresses) {
  if (rows == 0 || width == 0) return;
  const Launch launch_of{
      .name = name, .grid = {blocks_for(rows, kRowWarps)}, .block = {kRowWarps * kWarp}};
  launch(stream, launch_of, row_kernel<Row>, row, rows,
         aligned_addresses && width % Row::kPack == 0);
}

}  // namespace lockstep::gpu
