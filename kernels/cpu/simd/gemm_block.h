// The microkernel that carries every linear layer and convolution: a block of c of up to 14 rows
// (6 with 16 registers) and two vectors of columns stays in registers; each step broadcasts one
// element of a per row and multiplies it with one row of b.
#pragma once

#include <utility>

#include "kernels/cpu/gemm_kernels.h"
#include "kernels/cpu/simd.h"

namespace lockstep::cpu::LOCKSTEP_ISA {

// Rows of a block of two vectors, and of one; they leave registers for b and the broadcast.
constexpr int kRowsOfTwo = kRegisters == 32 ? 14 : 6;
constexpr int kRowsOfOne = 2 * kRowsOfTwo;

// Weights that the next run reads, asked for while this one computes.
struct Ahead {
  const char* next;
  const char* end;
};

// The left side of the next block, asked for while this one computes: two turns take the eight
// lines of a row of a whole run, so that the run's turns pass all rows.
struct LeftAhead {
  const float* row;
  std::int64_t half;
};
LOCKSTEP_INLINE void take_turn(LeftAhead& ahead, std::int64_t stride) {
  constexpr std::int64_t kHalf = 64;
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) __builtin_prefetch(ahead.row + ahead.half + i * 16);
  ahead.half ^= kHalf;
  ahead.row += ahead.half ? 0 : stride;
}

struct Block {
  const float* a;
  std::int64_t a_stride;
  const float* b;
  std::int64_t b_stride;
  float* c;
  std::int64_t c_stride;
  const float* bias;
  int tail;  // lanes of the last vector that exist
  bool add;
  Ahead* ahead;
};

// Blocks of one size in a row: how many, and how far each is from the one before it.
struct Repeat {
  std::int64_t count, a_step, c_step;
};

LOCKSTEP_INLINE V load_some(bool masked, const float* p, int lanes) {
  return masked ? load(p, lanes) : load(p);
}
LOCKSTEP_INLINE void store_some(bool masked, float* p, V v, int lanes) {
  if (masked) {
    store(p, v, lanes);
  } else {
    store(p, v);
  }
}

// Rows are addressed from one pointer per five, so that each address is pointer + {0, 1, 2, 3, 4} ·
// stride: compilers left alone keep one pointer a row, more than there are registers. Threefold the
// stride is no address that a processor forms, so it has a register of its own.
constexpr int kRowsOfPointer = 5;
// Terms a turn of the loop: moving the pointers would otherwise take turns from the arithmetic.
constexpr int kTermsOfTurn = 4;
// Cache lines asked for ahead in a turn.
constexpr int kLinesOfTurn = 3, kLine = 64;

template <int kRows, bool kTransposed>
struct LeftSide {
  static constexpr int kPointers = kTransposed ? 1 : (kRows + kRowsOfPointer - 1) / kRowsOfPointer;
  const float* rows[kPointers];
  std::int64_t stride, three_strides;
};

template <int kRows, bool kTransposed>
LOCKSTEP_INLINE V broadcast(const LeftSide<kRows, kTransposed>& a, int i, int k) {
  if (kTransposed) return set1(a.rows[0][i]);
  const float* const row = a.rows[i / kRowsOfPointer] + k;
  return set1(i % kRowsOfPointer == 3 ? row[a.three_strides] : row[i % kRowsOfPointer * a.stride]);
}

// The next kTerms terms of all sums.
template <int kRows, int kVectors, bool kTransposed, bool kTail, int kTerms>
LOCKSTEP_INLINE void add_terms(LeftSide<kRows, kTransposed>& a, const float*& b,
                               std::int64_t b_stride, int tail, V (&sums)[kRows][kVectors]) {
#pragma GCC unroll 4
  for (int k = 0; k < kTerms; ++k) {
    V right[kVectors];
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; ++j) {
      right[j] = load_some(kTail && j == kVectors - 1, b + j * kWidth, tail);
    }
    b += b_stride;
#pragma GCC unroll 32
    for (int i = 0; i < kRows; ++i) {
      const V left = broadcast(a, i, k);
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j) sums[i][j] = fma(left, right[j], sums[i][j]);
    }
  }
#pragma GCC unroll 8
  for (int p = 0; p < a.kPointers; ++p) {
    a.rows[p] += kTransposed ? a.stride : kTerms;
    asm("" : "+r"(a.rows[p]));  // keeps the pointers apart
  }
}

// What the loop over terms does beside the sums.
enum class Form { kPlain, kAhead, kTransposed };

template <int kRows, int kVectors, Form kForm, bool kTail>
static void multiply_blocks(const Block& block, const Repeat& repeat, const GemmRun& run) {
  constexpr bool kTransposed = kForm == Form::kTransposed;
  Ahead ahead{};
  if constexpr (kForm == Form::kAhead) ahead = *block.ahead;
  const std::int64_t a_stride = block.a_stride, b_stride = block.b_stride,
                     c_stride = block.c_stride;
  const float* const bias = block.bias;
  const bool add_to = block.add;
  const int tail = block.tail;
  const GemmPiece* const end = run.pieces + run.count;
  const float* block_a = block.a;
  float* block_c = block.c;
  for (std::int64_t left = repeat.count; left > 0; --left) {
    LeftAhead left_ahead{block_a + repeat.a_step, 0};
    V sums[kRows][kVectors];
#pragma GCC unroll 32
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j) sums[i][j] = set1(0.0f);
    }
    for (const GemmPiece* piece = run.pieces; piece != end; ++piece) {
      LeftSide<kRows, kTransposed> a;
      a.stride = a_stride;
      a.three_strides = 3 * a_stride;
      asm("" : "+r"(a.three_strides));
#pragma GCC unroll 8
      for (int p = 0; p < a.kPointers; ++p) {
        a.rows[p] = block_a + piece->a + p * kRowsOfPointer * a_stride;
      }
      const float* b = block.b + piece->b * b_stride;
      std::int64_t k = piece->length;
      if (!kTransposed) {
        for (; k >= kTermsOfTurn; k -= kTermsOfTurn) {
          if (kForm == Form::kAhead && ahead.next < ahead.end) {
#pragma GCC unroll 4
            for (int i = 0; i < kLinesOfTurn; ++i) __builtin_prefetch(ahead.next + i * kLine, 0, 2);
            ahead.next += kLinesOfTurn * kLine;
          }
          take_turn(left_ahead, a_stride);
          add_terms<kRows, kVectors, kTransposed, kTail, kTermsOfTurn>(a, b, b_stride, tail, sums);
        }
      }
      for (; k > 0; --k) {
        add_terms<kRows, kVectors, kTransposed, kTail, 1>(a, b, b_stride, tail, sums);
      }
    }
    if (add_to) {
      const float* c = block_c;
#pragma GCC unroll 32
      for (int i = 0; i < kRows; ++i, c += c_stride) {
#pragma GCC unroll 2
        for (int j = 0; j < kVectors; ++j) {
          sums[i][j] = add(load_some(kTail && j == kVectors - 1, c + j * kWidth, tail), sums[i][j]);
        }
      }
    }
    if (bias) {
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j) {
        const V value = load_some(kTail && j == kVectors - 1, bias + j * kWidth, tail);
#pragma GCC unroll 32
        for (int i = 0; i < kRows; ++i) sums[i][j] = add(sums[i][j], value);
      }
    }
    float* c = block_c;
#pragma GCC unroll 32
    for (int i = 0; i < kRows; ++i, c += c_stride) {
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j) {
        store_some(kTail && j == kVectors - 1, c + j * kWidth, sums[i][j], tail);
      }
    }
    block_a += repeat.a_step;
    block_c += repeat.c_step;
  }
  if constexpr (kForm == Form::kAhead) *block.ahead = ahead;
}

using BlockKernel = void (*)(const Block&, const Repeat&, const GemmRun&);

template <int kVectors>
constexpr int kMostRows = kVectors == 2 ? kRowsOfTwo : kRowsOfOne;

template <int kVectors, Form kForm, bool kTail, int... kLess>
static BlockKernel kernel_of(int rows, std::integer_sequence<int, kLess...>) {
  static constexpr BlockKernel kKernels[] = {multiply_blocks<kLess + 1, kVectors, kForm, kTail>...};
  return kKernels[rows - 1];
}
template <int kVectors, Form kForm>
static BlockKernel kernel_of(int rows, bool tail) {
  constexpr auto kLess = std::make_integer_sequence<int, kMostRows<kVectors>>();
  return tail ? kernel_of<kVectors, kForm, true>(rows, kLess)
              : kernel_of<kVectors, kForm, false>(rows, kLess);
}
template <int kVectors>
static BlockKernel kernel_of(int rows, Form form, bool tail) {
  switch (form) {
    case Form::kPlain:
      return kernel_of<kVectors, Form::kPlain>(rows, tail);
    case Form::kAhead:
      return kernel_of<kVectors, Form::kAhead>(rows, tail);
    default:
      return kernel_of<kVectors, Form::kTransposed>(rows, tail);
  }
}

}  // namespace lockstep::cpu::LOCKSTEP_ISA
