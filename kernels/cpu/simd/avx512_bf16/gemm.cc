// Products with bfloat16 operands. A chunk of rows of the left side and a panel of 32 columns of
// the right side are rounded and packed a run at a time, then multiplied: by vdpbf16ps, whose
// operands are pairs of neighbouring terms, or by the float32 microkernel, whose operands are
// float32 again. What packing costs is shared by all columns (left) and all rows of the chunk
// (right).
#include <immintrin.h>

#include <utility>

#include "kernels/cpu/gemm_bf16.h"

namespace lockstep::cpu::avx512_bf16 {

constexpr std::int64_t kLanes = 16;
constexpr int kRowsOfBlock = 14;  // times two vectors: leaves registers for b and the broadcast
constexpr std::int64_t kRowsOfChunk = 16 * kRowsOfBlock;

static inline std::int64_t least(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}
static inline __mmask16 lanes_mask(std::int64_t lanes) {
  if (lanes <= 0) return 0;
  return lanes >= kLanes ? __mmask16(0xffff) : __mmask16((1u << lanes) - 1);
}

// Pairs of terms: element 2 t and, in the upper half, element 2 t + 1 of a sum.
struct Pairs {
  using Element = std::uint32_t;
  static constexpr std::int64_t kTerms = 2;  // an element
  static std::int64_t elements(std::int64_t terms) { return (terms + 1) / 2; }

  // Neighbouring terms of one row.
  static void pack_row(const float* from, std::int64_t count, std::int64_t term, Element* row) {
    auto* const to = reinterpret_cast<std::uint16_t*>(row) + term;
    for (std::int64_t k = 0; k < count; k += kLanes) {
      const __mmask16 mask = lanes_mask(count - k);
      const __m512 v = _mm512_maskz_loadu_ps(mask, from + k);
      _mm256_mask_storeu_epi16(to + k, mask, (__m256i)_mm512_cvtneps_pbh(v));
    }
  }
  static void end_row(std::int64_t terms, Element* row) {
    if (terms % 2 != 0) reinterpret_cast<std::uint16_t*>(row)[terms] = 0;
  }
  // The same term of many rows: terms[0] and, where it exists, terms[1]. Writes whole vectors.
  static void pack_terms(const float* const* terms, std::int64_t count, std::int64_t first,
                         std::int64_t rows, Element* to) {
    const __m512i interleave =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    for (std::int64_t i = 0; i < rows; i += kLanes) {
      const __mmask16 mask = lanes_mask(rows - i);
      const __m512 low = _mm512_maskz_loadu_ps(mask, terms[0] + first + i);
      const __m512 high =
          count > 1 ? _mm512_maskz_loadu_ps(mask, terms[1] + first + i) : _mm512_setzero_ps();
      const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(high, low);
      _mm512_storeu_si512(to + i, _mm512_permutexvar_epi16(interleave, both));
    }
  }
};

// Single terms, rounded to bfloat16 and float32 again.
struct Singles {
  using Element = float;
  static constexpr std::int64_t kTerms = 1;
  static std::int64_t elements(std::int64_t terms) { return terms; }

  static __m512 rounded(__m512 v) {
    // With masks, since g++ 12 warns of what the plain forms leave undefined.
    constexpr __mmask16 kAll = 0xffff;
    const __m512i bits = _mm512_maskz_cvtepu16_epi32(kAll, (__m256i)_mm512_cvtneps_pbh(v));
    return _mm512_castsi512_ps(_mm512_maskz_slli_epi32(kAll, bits, 16));
  }
  static void pack_row(const float* from, std::int64_t count, std::int64_t term, Element* row) {
    float* const to = row + term;
    for (std::int64_t k = 0; k < count; k += kLanes) {
      const __mmask16 mask = lanes_mask(count - k);
      _mm512_mask_storeu_ps(to + k, mask, rounded(_mm512_maskz_loadu_ps(mask, from + k)));
    }
  }
  static void end_row(std::int64_t, Element*) {}
  static void pack_terms(const float* const* terms, std::int64_t, std::int64_t first,
                         std::int64_t rows, Element* to) {
    for (std::int64_t i = 0; i < rows; i += kLanes) {
      const __mmask16 mask = lanes_mask(rows - i);
      _mm512_storeu_ps(to + i, rounded(_mm512_maskz_loadu_ps(mask, terms[0] + first + i)));
    }
  }
};

// Steps and rows of the left side that are packed together; row i of step s is packed row
// s · rows + i.
struct Chunk {
  std::int64_t step, steps, row, rows;
  std::int64_t all() const { return steps * rows; }
};

// Element t of packed row i stands at i · kStride + t, or, transposed, at t · rows + i; b's element
// t of column n at t · kPanelColumns + n.
template <typename Form>
struct Packed {
  static constexpr std::int64_t kStride = kRunTerms / Form::kTerms;
  typename Form::Element a[kRowsOfChunk * kStride + kLanes];  // the last vector may reach beyond
  typename Form::Element b[kPanelColumns * kStride];

  void pack_rows(const GemmProduct& product, const Chunk& chunk, const GemmRun& run) {
    typename Form::Element* to = a;
    for (std::int64_t step = 0; step < chunk.steps; ++step) {
      const float* row =
          product.a + (chunk.step + step) * product.a_step + chunk.row * product.a_stride;
      for (std::int64_t i = 0; i < chunk.rows; ++i, row += product.a_stride, to += kStride) {
        std::int64_t terms = 0;
        for (std::int64_t p = 0; p < run.count; ++p) {
          const GemmPiece& piece = run.pieces[p];
          Form::pack_row(row + piece.a, piece.length, terms, to);
          terms += piece.length;
        }
        Form::end_row(terms, to);
      }
    }
  }

  void pack_transposed(const GemmProduct& product, const Chunk& chunk, const GemmRun& run) {
    const float* rows[kRunTerms];
    std::int64_t terms = 0;
    for (std::int64_t p = 0; p < run.count; ++p) {
      const GemmPiece& piece = run.pieces[p];
      for (std::int64_t k = 0; k < piece.length; ++k) {
        rows[terms++] = product.a + piece.a + k * product.a_stride + chunk.row;
      }
    }
    typename Form::Element* to = a;
    for (std::int64_t t = 0; t < terms; t += Form::kTerms) {
      for (std::int64_t step = 0; step < chunk.steps; ++step, to += chunk.rows) {
        Form::pack_terms(rows + t, terms - t, (chunk.step + step) * product.a_step, chunk.rows, to);
      }
    }
  }

  // Columns [column, column + width) of b; beyond them stands zero.
  void pack_right(const GemmProduct& product, std::int64_t column, std::int64_t width,
                  const GemmRun& run) {
    const ColumnPanels<const float>& from = product.b;
    const std::int64_t stride = from.row_stride ? from.row_stride : width;
    const float* const panel =
        from.data + column / kPanelColumns * from.panel_stride + from.first_row * stride;
    const float* rows[kRunTerms];
    std::int64_t terms = 0;
    for (std::int64_t p = 0; p < run.count; ++p) {
      for (std::int64_t k = 0; k < run.pieces[p].length; ++k) {
        rows[terms++] = panel + (run.pieces[p].b + k) * stride;
      }
    }
    typename Form::Element* to = b;
    for (std::int64_t t = 0; t < terms; t += Form::kTerms, to += kPanelColumns) {
      Form::pack_terms(rows + t, terms - t, 0, width, to);
      if (width <= kLanes) _mm512_storeu_si512(to + kLanes, _mm512_setzero_si512());
    }
  }
};

// What is added to the sums of one run, and where they go.
struct Target {
  float* c;
  std::int64_t c_stride, c_step;
  std::int64_t width;
  const float* bias;
  bool add;
};

// ---- by vdpbf16ps

template <int kRows, bool kTransposed>
static void multiply_block(const std::uint32_t* a, std::int64_t a_stride, const std::uint32_t* b,
                           std::int64_t pairs, const Target& target, float* c) {
  const __mmask16 masks[2] = {lanes_mask(target.width), lanes_mask(target.width - kLanes)};
  __m512 sums[kRows][2];
#pragma GCC unroll 14
  for (int i = 0; i < kRows; ++i) sums[i][0] = sums[i][1] = _mm512_setzero_ps();
  for (std::int64_t t = 0; t < pairs; ++t, b += kPanelColumns) {
    const __m512bh right[2] = {(__m512bh)_mm512_loadu_si512(b),
                               (__m512bh)_mm512_loadu_si512(b + kLanes)};
#pragma GCC unroll 14
    for (int i = 0; i < kRows; ++i) {
      const std::uint32_t pair =
          kTransposed ? a[t * a_stride + i] : a[i * Packed<Pairs>::kStride + t];
      const __m512bh left = (__m512bh)_mm512_set1_epi32(static_cast<int>(pair));
#pragma GCC unroll 2
      for (int j = 0; j < 2; ++j) sums[i][j] = _mm512_dpbf16_ps(sums[i][j], left, right[j]);
    }
  }
#pragma GCC unroll 2
  for (int j = 0; j < 2; ++j) {
    const __m512 bias = target.bias ? _mm512_maskz_loadu_ps(masks[j], target.bias + j * kLanes)
                                    : _mm512_setzero_ps();
#pragma GCC unroll 14
    for (int i = 0; i < kRows; ++i) {
      float* const to = c + i * target.c_stride + j * kLanes;
      __m512 sum = sums[i][j];
      if (target.add) sum = _mm512_add_ps(_mm512_maskz_loadu_ps(masks[j], to), sum);
      if (target.bias) sum = _mm512_add_ps(sum, bias);
      _mm512_mask_storeu_ps(to, masks[j], sum);
    }
  }
}

using BlockKernel = void (*)(const std::uint32_t*, std::int64_t, const std::uint32_t*, std::int64_t,
                             const Target&, float*);
template <bool kTransposed, int... kLess>
static BlockKernel kernel_of(std::int64_t rows, std::integer_sequence<int, kLess...>) {
  static constexpr BlockKernel kKernels[] = {multiply_block<kLess + 1, kTransposed>...};
  return kKernels[rows - 1];
}

struct ByDots {
  using Form = Pairs;
  static void multiply(const Packed<Pairs>& packed, bool transposed, const Chunk& chunk,
                       std::int64_t terms, const Target& target) {
    constexpr auto kLess = std::make_integer_sequence<int, kRowsOfBlock>();
    const std::int64_t all = chunk.all(), pairs = Pairs::elements(terms);
    const std::int64_t a_row = transposed ? 1 : Packed<Pairs>::kStride;
    // Steps that follow one another in c are one.
    const bool one = target.c_step == chunk.rows * target.c_stride;
    const std::int64_t steps = one ? 1 : chunk.steps, rows = one ? all : chunk.rows;
    const std::int64_t blocks = (rows + kRowsOfBlock - 1) / kRowsOfBlock;
    for (std::int64_t step = 0; step < steps; ++step) {
      for (std::int64_t block = 0; block < blocks; ++block) {  // of even size
        const std::int64_t first = rows * block / blocks;
        const std::int64_t count = rows * (block + 1) / blocks - first;
        const BlockKernel kernel =
            transposed ? kernel_of<true>(count, kLess) : kernel_of<false>(count, kLess);
        kernel(packed.a + (step * rows + first) * a_row, all, packed.b, pairs, target,
               target.c + step * target.c_step + first * target.c_stride);
      }
    }
  }
};

// ---- by the float32 microkernel

struct ByFma {
  using Form = Singles;
  static void multiply(const Packed<Singles>& packed, bool transposed, const Chunk& chunk,
                       std::int64_t terms, const Target& target) {
    const GemmPiece piece{0, 0, terms};
    const GemmRun run{&piece, 1};
    GemmProduct product;
    product.a = packed.a;
    product.transposed = transposed;
    product.a_stride = transposed ? chunk.all() : Packed<Singles>::kStride;
    product.a_step = chunk.rows * (transposed ? 1 : Packed<Singles>::kStride);
    product.b = {packed.b, kPanelColumns, 0};
    product.c = {target.c, target.c_stride, 0};
    product.c_step = target.c_step;
    product.bias = target.bias;
    product.steps = chunk.steps;
    product.rows = chunk.rows;
    product.columns = target.width;
    product.runs = &run;
    product.run_count = 1;
    product.accumulate = target.add;
    avx512::gemm_table.multiply(product);
  }
};

// ---- the whole product

template <typename Kernel>
static void multiply_chunk(const GemmProduct& product, const Chunk& chunk,
                           Packed<typename Kernel::Form>& packed) {
  for (std::int64_t r = 0; r < product.run_count; ++r) {
    const GemmRun& run = product.runs[r];
    std::int64_t terms = 0;
    for (std::int64_t p = 0; p < run.count; ++p) terms += run.pieces[p].length;
    if (product.transposed) {
      packed.pack_transposed(product, chunk, run);
    } else {
      packed.pack_rows(product, chunk, run);
    }
    for (std::int64_t column = 0; column < product.columns; column += kPanelColumns) {
      Target target;
      target.width = least(kPanelColumns, product.columns - column);
      packed.pack_right(product, column, target.width, run);
      target.c_stride = product.c.row_stride ? product.c.row_stride : target.width;
      target.c_step = product.c_step;
      target.c = product.c.data + column / kPanelColumns * product.c.panel_stride +
                 (product.c.first_row + chunk.row) * target.c_stride + chunk.step * product.c_step;
      target.bias = product.bias && r + 1 == product.run_count ? product.bias + column : nullptr;
      target.add = r > 0 || product.accumulate;
      Kernel::multiply(packed, product.transposed, chunk, terms, target);
    }
  }
  if (product.epilogue == nullptr) return;
  float* const c = product.c.data + (product.c.first_row + chunk.row) * product.c.row_stride +
                   chunk.step * product.c_step;
  for (std::int64_t step = 0; step < chunk.steps; ++step) {
    float* const written = c + step * product.c_step;
    product.epilogue->apply(*product.epilogue, {written, product.c.row_stride},
                            {written, product.c.row_stride}, chunk.rows, product.columns);
  }
}

template <typename Kernel>
static void multiply(const GemmProduct& whole) {
  if (whole.rows == 0 || whole.steps == 0) return;
  GemmProduct product = whole;
  join_steps(product);
  Packed<typename Kernel::Form> packed;
  const std::int64_t some_steps =
      product.rows < kRowsOfChunk ? kRowsOfChunk / product.rows : std::int64_t{1};
  for (std::int64_t step = 0; step < product.steps; step += some_steps) {
    const std::int64_t steps = least(some_steps, product.steps - step);
    for (std::int64_t row = 0; row < product.rows; row += kRowsOfChunk) {
      const std::int64_t rows = least(kRowsOfChunk, product.rows - row);
      multiply_chunk<Kernel>(product, {step, steps, row, rows}, packed);
    }
  }
}

void multiply_by_dots(const GemmProduct& product) {
  multiply<ByDots>(product);
}

void multiply_by_fma(const GemmProduct& product) {
  multiply<ByFma>(product);
}

}  // namespace lockstep::cpu::avx512_bf16
