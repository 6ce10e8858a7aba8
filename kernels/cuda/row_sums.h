// Losses and metrics: two numbers a row, a warp a row, which are added up in double in a fixed
// order and end on the host.
#pragma once

#include "kernels/cuda/checks.h"
#include "kernels/cuda/rows.h"

namespace lockstep::gpu {

struct RowResult {  // every lane of the row's warp returns the same
  double loss, weight;
};

// Row: kPack; RowResult operator()(row, aligned), called by all lanes of the row's warp.
template <typename Row>
__global__ void __launch_bounds__(kRowWarps* kWarp)
    row_results_kernel(Row row, std::int64_t rows, bool aligned, double* results) {
  const std::int64_t number = row_of_warp();
  if (number >= rows) return;
  const RowResult result = row(number, aligned);
  if (threadIdx.x % kWarp != 0) return;
  results[2 * number] = result.loss;
  results[2 * number + 1] = result.weight;
}

// The sums of all rows follow the rows' own results in memory. One block.
template <unsigned kThreads>
__global__ void __launch_bounds__(kThreads) add_results_kernel(double* results, std::int64_t rows) {
  double loss = 0, weight = 0;
  for (std::int64_t row = threadIdx.x; row < rows; row += kThreads) {
    loss += results[2 * row];
    weight += results[2 * row + 1];
  }
  loss = block_sum<kThreads>(loss);
  weight = block_sum<kThreads>(weight);
  if (threadIdx.x != 0) return;
  results[2 * rows] = loss;
  results[2 * rows + 1] = weight;
}

inline void check_sums(const Tensor& sums) {
  check_type(sums, DType::kFloat64, "sums");
  LOCKSTEP_CHECK(sums.elements() >= 2, "sums has {} elements, not 2", sums.elements());
}

// sums[0] = Σ loss, sums[1] = Σ weight, on the host once the stream is done.
template <typename Row>
void sum_rows_to_host(Stream& stream, const char* name, const Row& row, std::int64_t rows,
                      std::int64_t width, bool aligned_addresses, Tensor& sums) {
  check_sums(sums);
  auto* const results = workspace_of<double>(stream, 2 * (rows + 1));
  if (rows > 0) {
    const Launch each{
        .name = name, .grid = {blocks_for(rows, kRowWarps)}, .block = {kRowWarps * kWarp}};
    launch(raw(stream), each, row_results_kernel<Row>, row, rows,
           aligned_addresses && width % Row::kPack == 0, results);
  }
  constexpr unsigned kThreads = 256;
  const Launch total{.name = name, .grid = {1}, .block = {kThreads}};
  launch(raw(stream), total, add_results_kernel<kThreads>, results, rows);
  copy_async(sums.raw(), results + 2 * rows, 2 * sizeof(double), raw(stream));
}

}  // namespace lockstep::gpu
