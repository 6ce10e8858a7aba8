// Matrices in column panels, the order of weights (see gemm_kernels.h).
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/gemm_kernels.h"

namespace lockstep {

// Where element (k, n) of a terms x columns matrix stands.
constexpr std::int64_t panel_index(std::int64_t terms, std::int64_t columns, std::int64_t k,
                                   std::int64_t n) {
  const std::int64_t first = n / kPanelColumns * kPanelColumns;
  return first * terms + k * std::min(kPanelColumns, columns - first) + n - first;
}

// A block of rows of a matrix in panels.
template <typename T>
struct PanelRows {
  T* data = nullptr;
  std::int64_t terms = 0, first = 0;  // rows of the whole matrix, and where the block starts
};

// to(n, k) = from(k, n) for k in [0, rows), n in [0, columns).
void transpose_panels(const PanelRows<const float>& from, std::int64_t rows, std::int64_t columns,
                      const PanelRows<float>& to);

}  // namespace lockstep
