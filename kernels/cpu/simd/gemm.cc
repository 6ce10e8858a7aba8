// Matrix products by the microkernel (gemm_block.h): in which order blocks of rows, columns and
// terms pass through the caches; sums of columns; copies of short lines.
#include "kernels/cpu/simd/gemm_block.h"

namespace lockstep::cpu::LOCKSTEP_ISA {

// Rows of a tile of sums, which stays in the first-level cache while the runs pass over it.
constexpr std::int64_t kRowsInCache = 112;
// It is dense: rows of c may lie a multiple of 4,096 bytes apart, where a cache holds few of them.
constexpr std::int64_t kTileStride = 2 * kWidth;
// Rows of the left side so many floats apart share places of the first-level cache, which holds
// few.
constexpr std::int64_t kCacheWay = 1024;
// A right side of at most so many floats stays in the second-level cache.
constexpr std::int64_t kFloatsInCache = 1 << 16;
// So does a left side of so many, beside what passes over it.
constexpr std::int64_t kLeftInCache = 1 << 17;

// Rows [0, rows) in blocks of even size: `larger` blocks of size + 1, then the others of size.
struct RowBlocks {
  std::int64_t count, size, larger;
  BlockKernel large_kernel, kernel;
};
template <int kVectors>
static RowBlocks row_blocks(std::int64_t rows, std::int64_t a_stride, Form form, bool tail) {
  constexpr std::int64_t kMost = kMostRows<kVectors>, kFew = kMost < 11 ? kMost : 11;
  const std::int64_t most = form != Form::kTransposed && a_stride % kCacheWay == 0 ? kFew : kMost;
  RowBlocks blocks;
  blocks.count = (rows + most - 1) / most;
  blocks.size = rows / blocks.count;
  blocks.larger = rows % blocks.count;
  const int size = static_cast<int>(blocks.size);
  blocks.kernel = kernel_of<kVectors>(size, form, tail);
  blocks.large_kernel = blocks.larger ? kernel_of<kVectors>(size + 1, form, tail) : blocks.kernel;
  return blocks;
}

// Behind the run's rows of b.
static Ahead weights_ahead(const Block& block, const GemmRun& run) {
  if (run.count == 0) return {};
  const GemmPiece &first = run.pieces[0], &last = run.pieces[run.count - 1];
  const std::int64_t end = last.b + last.length;
  const char* const next = reinterpret_cast<const char*>(block.b + end * block.b_stride);
  return {next, next + (end - first.b) * block.b_stride * sizeof(float)};
}

// All runs over `steps` steps of `rows` rows, for the columns of one block; steps of c are c_step
// apart.
template <int kVectors>
static void multiply_columns(const GemmProduct& product, Block block, std::int64_t c_step,
                             std::int64_t steps, std::int64_t rows) {
  const bool tail = block.tail != kWidth;
  const Form form = product.transposed  ? Form::kTransposed
                    : product.streams_b ? Form::kAhead
                                        : Form::kPlain;
  const RowBlocks blocks = row_blocks<kVectors>(rows, block.a_stride, form, tail);
  const std::int64_t a_row = product.transposed ? 1 : block.a_stride;
  const float* const bias = block.bias;
  const float* const a = block.a;
  float* const c = block.c;
  const std::int64_t size = blocks.size, larger = blocks.larger;
  for (std::int64_t r = 0; r < product.run_count; ++r) {
    const GemmRun& run = product.runs[r];
    block.add = r > 0 || product.accumulate;
    block.bias = r + 1 == product.run_count ? bias : nullptr;
    block.a = a;
    block.c = c;
    Ahead ahead = weights_ahead(block, run);
    block.ahead = &ahead;
    if (blocks.count == 1) {
      blocks.kernel(block, {steps, product.a_step, c_step}, run);
      continue;
    }
    for (std::int64_t step = 0; step < steps; ++step) {
      block.a = a + step * product.a_step;
      block.c = c + step * c_step;
      if (larger > 0) {
        blocks.large_kernel(block, {larger, (size + 1) * a_row, (size + 1) * block.c_stride}, run);
      }
      block.a += larger * (size + 1) * a_row;
      block.c += larger * (size + 1) * block.c_stride;
      blocks.kernel(block, {blocks.count - larger, size * a_row, size * block.c_stride}, run);
    }
  }
}

static std::int64_t least(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}

// Tiles of a residual lie far apart: they are asked for while the sums are made.
static void fetch_residual(const TileEpilogue& epilogue, const float* tile, std::int64_t rows,
                           std::int64_t row_stride, std::int64_t width) {
  if (epilogue.residual == nullptr) return;
  const float* from = epilogue.residual + (tile - epilogue.output);
  for (std::int64_t row = 0; row < rows; ++row, from += row_stride) {
    for (std::int64_t n = 0; n < width; n += kWidth) __builtin_prefetch(from + n);
    __builtin_prefetch(from + width - 1);
  }
}

// The columns of one block, for steps and rows of one chunk.
static void multiply_chunk(const GemmProduct& product, std::int64_t column, std::int64_t step,
                           std::int64_t steps, std::int64_t row, std::int64_t rows, float* tile) {
  const std::int64_t panel = column / kPanelColumns, in_panel = column % kPanelColumns;
  const std::int64_t panel_width = least(kPanelColumns, product.columns - panel * kPanelColumns);
  const std::int64_t width = least(2 * kWidth, product.columns - column);
  Block block;
  block.a_stride = product.a_stride;
  block.a = product.a + step * product.a_step + row * (product.transposed ? 1 : block.a_stride);
  block.b_stride = product.b.row_stride ? product.b.row_stride : panel_width;
  block.b = product.b.data + panel * product.b.panel_stride + in_panel +
            product.b.first_row * block.b_stride;
  block.c_stride = product.c.row_stride ? product.c.row_stride : panel_width;
  block.c = product.c.data + panel * product.c.panel_stride + in_panel +
            (product.c.first_row + row) * block.c_stride + step * product.c_step;
  block.bias = product.bias ? product.bias + column : nullptr;
  block.tail = static_cast<int>(width > kWidth ? width - kWidth : width);
  float* const c = block.c;
  const std::int64_t c_stride = block.c_stride;
  std::int64_t c_step = product.c_step;
  if (product.epilogue != nullptr) {
    for (std::int64_t s = 0; s < steps; ++s) {
      fetch_residual(*product.epilogue, c + s * product.c_step, rows, c_stride, width);
    }
    if (!product.accumulate) {
      block.c = tile;
      block.c_stride = kTileStride;
      c_step = rows * kTileStride;
    }
  }
  if (width > kWidth) {
    multiply_columns<2>(product, block, c_step, steps, rows);
  } else {
    multiply_columns<1>(product, block, c_step, steps, rows);
  }
  if (product.epilogue == nullptr) return;
  for (std::int64_t s = 0; s < steps; ++s) {
    product.epilogue->apply(*product.epilogue, {block.c + s * c_step, block.c_stride},
                            {c + s * product.c_step, c_stride}, rows, width);
  }
}

static void multiply(const GemmProduct& whole) {
  if (whole.rows == 0 || whole.steps == 0) return;
  GemmProduct product = whole;
  join_steps(product);
  alignas(64) float tile[kRowsInCache * kTileStride];
  const std::int64_t chunks = (product.rows + kRowsInCache - 1) / kRowsInCache;
  const std::int64_t some_rows =
      product.steps == 1 ? kRowsInCache : (product.rows + chunks - 1) / chunks;
  const std::int64_t some_steps =
      product.rows < kRowsInCache ? kRowsInCache / product.rows : std::int64_t{1};
  std::int64_t terms = 0;
  for (std::int64_t r = 0; r < product.run_count; ++r) {
    for (std::int64_t p = 0; p < product.runs[r].count; ++p) {
      terms += product.runs[r].pieces[p].length;
    }
  }
  // A chunk of rows meets all columns before the next one where b stays in the cache; else a block
  // of rows, whose part of a stays there, passes over some columns before the next ones.
  const bool all_columns = terms * product.columns <= kFloatsInCache;
  const std::int64_t some_columns = all_columns ? product.columns : 2 * kWidth;
  std::int64_t block_rows = product.rows;
  if (product.steps == 1 && !product.transposed && !all_columns) {
    block_rows = kLeftInCache / terms / kRowsInCache * kRowsInCache;
    if (block_rows == 0) block_rows = kRowsInCache;
  }
  for (std::int64_t block = 0; block < product.rows; block += block_rows) {
    const std::int64_t block_end = least(block + block_rows, product.rows);
    for (std::int64_t first = 0; first < product.columns; first += some_columns) {
      for (std::int64_t step = 0; step < product.steps; step += some_steps) {
        const std::int64_t steps = least(some_steps, product.steps - step);
        for (std::int64_t row = block; row < block_end; row += some_rows) {
          const std::int64_t rows = least(some_rows, block_end - row);
          for (std::int64_t n = first; n < first + some_columns && n < product.columns;
               n += 2 * kWidth) {
            multiply_chunk(product, n, step, steps, row, rows, tile);
          }
        }
      }
    }
  }
}

// ---- sums of columns: row r of a run joins chain r mod 8; the chains join pairwise.
constexpr int kChains = 8;

// One run of at most kRunTerms rows.
template <bool kTail>
static void sum_columns(const float* x, std::int64_t rows, std::int64_t stride, int lanes,
                        bool add_to, float* sums) {
  V chains[kChains];
#pragma GCC unroll 8
  for (int j = 0; j < kChains; ++j) chains[j] = set1(0.0f);
  std::int64_t row = 0;
  for (; row + kChains <= rows; row += kChains) {
#pragma GCC unroll 8
    for (int j = 0; j < kChains; ++j) {
      const float* p = x + (row + j) * stride;
      chains[j] = add(chains[j], load_some(kTail, p, lanes));
    }
  }
#pragma GCC unroll 8
  for (int j = 0; j < kChains - 1; ++j) {
    if (row + j < rows) {
      const float* p = x + (row + j) * stride;
      chains[j] = add(chains[j], load_some(kTail, p, lanes));
    }
  }
#pragma GCC unroll 3
  for (int half = kChains / 2; half > 0; half /= 2) {
#pragma GCC unroll 4
    for (int j = 0; j < half; ++j) chains[j] = add(chains[j], chains[j + half]);
  }
  V total = chains[0];
  if (add_to) total = add(load_some(kTail, sums, lanes), total);
  store_some(kTail, sums, total, lanes);
}

static void column_sums(const float* x, std::int64_t rows, std::int64_t columns, bool add_to,
                        float* sums) {
  if (rows == 0 && !add_to) {
    for (std::int64_t n = 0; n < columns; ++n) sums[n] = 0.0f;
  }
  for (std::int64_t first = 0; first < rows; first += kRunTerms) {
    const float* run = x + first * columns;
    const std::int64_t count = least(kRunTerms, rows - first);
    const bool add_run = add_to || first > 0;
    for (std::int64_t n = 0; n < columns; n += kWidth) {
      const int lanes = static_cast<int>(least(kWidth, columns - n));
      if (lanes == kWidth) {
        sum_columns<false>(run + n, count, columns, lanes, add_run, sums + n);
      } else {
        sum_columns<true>(run + n, count, columns, lanes, add_run, sums + n);
      }
    }
  }
}

// kVectors, unless it is zero: whole vectors of a line, known where they are few.
template <int kVectors, bool kRest>
static void copy_lines_of(const LineCopy& copy) {
  // Values of their own: a store through a vector could change what `copy` refers to.
  const std::int64_t vectors = kVectors ? kVectors : copy.length / kWidth, whole = vectors * kWidth,
                     rows = copy.rows, lines = copy.lines, from_row = copy.from_row,
                     from_line = copy.from_line, to_row = copy.to_row, to_line = copy.to_line;
  const int rest = static_cast<int>(copy.length - whole);
  const float* row_from = copy.from;
  float* row_to = copy.to;
  for (std::int64_t row = 0; row < rows; ++row, row_from += from_row, row_to += to_row) {
    const float* from = row_from;
    float* to = row_to;
    for (std::int64_t line = 0; line < lines; ++line, from += from_line, to += to_line) {
#pragma GCC unroll 4
      for (std::int64_t i = 0; i < whole; i += kWidth) store(to + i, load(from + i));
      if (kRest) store(to + whole, load(from + whole, rest), rest);
    }
  }
}

template <bool kRest>
static void copy_lines_of(const LineCopy& copy) {
  switch (copy.length / kWidth) {
    case 1:
      return copy_lines_of<1, kRest>(copy);
    case 2:
      return copy_lines_of<2, kRest>(copy);
    case 4:
      return copy_lines_of<4, kRest>(copy);
    default:
      return copy_lines_of<0, kRest>(copy);
  }
}

static void copy_lines(const LineCopy& copy) {
  copy.length % kWidth == 0 ? copy_lines_of<false>(copy) : copy_lines_of<true>(copy);
}

}  // namespace lockstep::cpu::LOCKSTEP_ISA

const lockstep::GemmKernels lockstep::cpu::LOCKSTEP_ISA::gemm_table = {
    lockstep::cpu::LOCKSTEP_ISA::multiply, lockstep::cpu::LOCKSTEP_ISA::column_sums,
    lockstep::cpu::LOCKSTEP_ISA::copy_lines};
