// What linear layers and convolutions ask of the vector kernels: matrix products whose left side is
// read where it lies (rows of an image, or of a batch), and sums of columns. One table a set of
// instructions; every table gives the same bits.
#pragma once

#include <cstdint>

#include "kernels/cpu/tile_epilogue.h"

namespace lockstep {

// Weights and their gradients lie in panels of this many columns, as wide as two registers of the
// widest processor. Element (k, n) of a K x N matrix stands at (n / 32) · 32 · K + k · width + n %
// 32, where width = min(32, N - 32 (n / 32)): no padding, K · N elements.
inline constexpr std::int64_t kPanelColumns = 32;

// A sum over k is cut evenly into runs of at most this many terms. A run is a chain of fused
// multiply-adds from zero; runs are then added in order.
inline constexpr std::int64_t kRunTerms = 128;
constexpr std::int64_t runs_of(std::int64_t terms) {  // at least one, which may be empty
  return terms == 0 ? 1 : (terms + kRunTerms - 1) / kRunTerms;
}

// Consecutive terms of a sum: the left side from offset `a`, the right side from row `b`.
struct GemmPiece {
  std::int64_t a = 0, b = 0, length = 0;
};
struct GemmRun {
  const GemmPiece* pieces = nullptr;
  std::int64_t count = 0;
};

// A matrix in column panels: panel p starts at data + p · panel_stride, its rows are row_stride
// apart, or as far as the panel is wide where row_stride is 0 (the order of weights). Row 0 of the
// product is row first_row of the matrix.
template <typename T>
struct ColumnPanels {
  T* data = nullptr;
  std::int64_t row_stride = 0, panel_stride = 0;
  std::int64_t first_row = 0;
};

// c(step, i, n) = Σ_k a(step, i, k) b(k, n) + bias(n)
struct GemmProduct {
  const float* a = nullptr;  // (i, k) at i · a_stride + k; transposed: at i + k · a_stride
  std::int64_t a_stride = 0;
  std::int64_t a_step = 0;  // between the rows of an image, whose pixels are the i
  bool transposed = false;
  ColumnPanels<const float> b;
  ColumnPanels<float> c;
  std::int64_t c_step = 0;
  const float* bias = nullptr;             // added after the last run; may be missing
  const TileEpilogue* epilogue = nullptr;  // of finished sums, c's rows a row_stride apart; or null
  std::int64_t steps = 1, rows = 0, columns = 0;
  const GemmRun* runs = nullptr;
  std::int64_t run_count = 0;
  bool accumulate = false;  // the first run is added to c, too
  // b comes from memory, and what lies behind it is read next: it is asked for ahead.
  bool streams_b = false;
};

// Steps whose rows follow one another are one step. Inlined always: what the callers are compiled
// for must not reach a processor without it.
[[gnu::always_inline]] inline void join_steps(GemmProduct& product) {
  if (!product.transposed && product.c.row_stride != 0 &&
      product.a_step == product.rows * product.a_stride &&
      product.c_step == product.rows * product.c.row_stride) {
    product.rows *= product.steps;
    product.steps = 1;
  }
}

// Lines of `length` floats, copied between grids of lines.
struct LineCopy {
  const float* from = nullptr;
  std::int64_t from_row = 0, from_line = 0;  // distances
  float* to = nullptr;
  std::int64_t to_row = 0, to_line = 0;
  std::int64_t rows = 0, lines = 1, length = 0;
};

struct GemmKernels {
  void (*multiply)(const GemmProduct&);
  // sums[n] = Σ_i x(i, n), x dense: runs of kRunTerms rows, eight chains a run. `add`: sums[n] +=
  void (*column_sums)(const float* x, std::int64_t rows, std::int64_t columns, bool add,
                      float* sums);
  void (*copy_lines)(const LineCopy&);  // for short lines, where a call of memcpy costs more
};

namespace cpu::generic {
extern const GemmKernels gemm_table;
}
namespace cpu::avx2 {
extern const GemmKernels gemm_table;
}
namespace cpu::avx512 {
extern const GemmKernels gemm_table;
}
namespace cpu::neon {
extern const GemmKernels gemm_table;
}

}  // namespace lockstep
