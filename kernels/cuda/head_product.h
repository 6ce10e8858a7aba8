// Products of the matrices that lie in each sample and head, for attention: c = factor · a · b. A
// block of 128 threads makes a tile of 64 x 32, a thread 4 x 4 of it; an element is one sum along
// the inner axis, from its front.
#pragma once

#include <algorithm>

#include "kernels/cuda/kernel.h"

namespace lockstep::gpu {

// One matrix a sample and head; its columns are neighbours.
template <typename T>
struct HeadMatrix {
  T* data;
  std::int64_t sample_stride, head_stride, row_stride;

  __device__ T* of(std::int64_t sample, std::int64_t head) const {
    return data + sample * sample_stride + head * head_stride;
  }
  bool fits_packs_of_4() const {
    return aligned<4>(data) && (sample_stride | head_stride | row_stride) % 4 == 0;
  }
};

// What need not be computed, where tokens see only those before them.
enum class Triangle {
  kNone,
  kLowerResult,  // c is not read above the diagonal
  kLowerLeft,    // a is 0 above the diagonal
  kUpperLeft,    // a is 0 below it
};

struct HeadProduct {
  std::int64_t samples, heads, rows, columns, inner;
  float factor = 1;
  Triangle triangle = Triangle::kNone;
};

inline constexpr int kProductRows = 64, kProductColumns = 32, kProductDepth = 16;
inline constexpr unsigned kProductThreads = 128;

template <int kOuter>
struct alignas(16) ProductTile {  // of a or b: the inner axis first; rows padded against conflicts
  float at[kProductDepth][kOuter + 4];
};

// A thread's share of a tile on its way from device to shared memory. kAlongInner: the neighbours
// in memory follow the inner axis.
template <typename T, int kOuter, bool kAlongInner>
struct TileShare {
  static constexpr int kPacks = kOuter * kProductDepth / 4 / static_cast<int>(kProductThreads);
  float values[kPacks][4];

  struct Place {
    int outer, inner;
  };
  __device__ __forceinline__ static Place place(int pack) {
    const int number = pack * static_cast<int>(kProductThreads) + static_cast<int>(threadIdx.x);
    if constexpr (kAlongInner)
      return {number / (kProductDepth / 4), number % (kProductDepth / 4) * 4};
    else
      return {number % (kOuter / 4) * 4, number / (kOuter / 4)};
  }

  // `from` is the tile's first element; outer_left and inner_left are what the matrix has from it
  // on. Zeros stand behind its end.
  __device__ __forceinline__ void fetch(const T* from, std::int64_t row_stride,
                                        std::int64_t outer_left, std::int64_t inner_left,
                                        bool packs) {
#pragma unroll
    for (int pack = 0; pack < kPacks; ++pack) {
      const Place at = place(pack);
      const int row = kAlongInner ? at.outer : at.inner, column = kAlongInner ? at.inner : at.outer;
      const std::int64_t rows = kAlongInner ? outer_left : inner_left;
      const std::int64_t columns = kAlongInner ? inner_left : outer_left;
      const std::int64_t count = row < rows ? columns - column : 0;
      load_some<4>(from + row * row_stride + column, count, packs && count >= 4, values[pack]);
    }
  }
  __device__ __forceinline__ void put(ProductTile<kOuter>& tile) const {
#pragma unroll
    for (int pack = 0; pack < kPacks; ++pack) {
      const Place at = place(pack);
      if constexpr (kAlongInner) {
#pragma unroll
        for (int i = 0; i < 4; ++i) tile.at[at.inner + i][at.outer] = values[pack][i];
      } else {
        store_pack<4>(&tile.at[at.inner][at.outer], values[pack]);
      }
    }
  }
};

// a lies as (inner, rows) where it is transposed, b as (columns, inner).
template <bool kTransposedA, bool kTransposedB, typename A, typename B, typename C>
__global__ void __launch_bounds__(kProductThreads)
    head_product_kernel(HeadProduct product, HeadMatrix<const A> a, HeadMatrix<const B> b,
                        HeadMatrix<C> c, unsigned row_tiles, unsigned column_tiles, bool packs) {
  LOCKSTEP_SHARED(ProductTile<kProductRows>, a_tile);
  LOCKSTEP_SHARED(ProductTile<kProductColumns>, b_tile);
  const unsigned matrix = blockIdx.x / (row_tiles * column_tiles);
  const unsigned tile = blockIdx.x % (row_tiles * column_tiles);
  const std::int64_t sample = matrix / product.heads, head = matrix % product.heads;
  const std::int64_t row = static_cast<std::int64_t>(tile / column_tiles) * kProductRows;
  const std::int64_t column = static_cast<std::int64_t>(tile % column_tiles) * kProductColumns;
  const std::int64_t behind = row + kProductRows;
  if (product.triangle == Triangle::kLowerResult && column >= behind) return;
  const std::int64_t begin = product.triangle == Triangle::kUpperLeft ? row : 0;
  const std::int64_t end =
      product.triangle == Triangle::kLowerLeft && behind < product.inner ? behind : product.inner;
  const A* const a_from = a.of(sample, head) + (kTransposedA ? row : row * a.row_stride);
  const B* const b_from = b.of(sample, head) + (kTransposedB ? column * b.row_stride : column);
  TileShare<A, kProductRows, !kTransposedA> a_share;
  TileShare<B, kProductColumns, kTransposedB> b_share;
  const auto fetch = [&](std::int64_t k) {
    a_share.fetch(a_from + (kTransposedA ? k * a.row_stride : k), a.row_stride, product.rows - row,
                  end - k, packs);
    b_share.fetch(b_from + (kTransposedB ? k : k * b.row_stride), b.row_stride,
                  product.columns - column, end - k, packs);
  };
  const int down = static_cast<int>(threadIdx.x) / (kProductColumns / 4) * 4;
  const int across = static_cast<int>(threadIdx.x) % (kProductColumns / 4) * 4;
  float sums[4][4] = {};
  fetch(begin);
  for (std::int64_t k = begin; k < end; k += kProductDepth) {
    __syncthreads();  // the tiles before have been used
    a_share.put(a_tile);
    b_share.put(b_tile);
    __syncthreads();
    if (k + kProductDepth < end) fetch(k + kProductDepth);
#pragma unroll
    for (int inner = 0; inner < kProductDepth; ++inner) {
      float left[4], right[4];
      load_pack<4>(&a_tile.at[inner][down], left);
      load_pack<4>(&b_tile.at[inner][across], right);
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) sums[i][j] = fmaf(left[i], right[j], sums[i][j]);
    }
  }
  const std::int64_t count = product.columns - column - across;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (row + down + i >= product.rows) continue;
#pragma unroll
    for (int j = 0; j < 4; ++j) sums[i][j] *= product.factor;
    store_some<4>(c.of(sample, head) + (row + down + i) * c.row_stride + column + across, count,
                  packs && count >= 4, sums[i]);
  }
}

template <bool kTransposedA, bool kTransposedB, typename A, typename B, typename C>
void multiply_heads(RawStream stream, const char* name, const HeadProduct& product,
                    const HeadMatrix<A>& a, const HeadMatrix<B>& b, const HeadMatrix<C>& c) {
  const unsigned row_tiles = blocks_for(product.rows, kProductRows);
  const unsigned column_tiles = blocks_for(product.columns, kProductColumns);
  const auto matrices = static_cast<unsigned>(product.samples * product.heads);
  launch(stream,
         {.name = name, .grid = {matrices * row_tiles * column_tiles}, .block = {kProductThreads}},
         head_product_kernel<kTransposedA, kTransposedB, A, B, C>, product,
         HeadMatrix<const A>{a.data, a.sample_stride, a.head_stride, a.row_stride},
         HeadMatrix<const B>{b.data, b.sample_stride, b.head_stride, b.row_stride}, c, row_tiles,
         column_tiles, a.fits_packs_of_4() && b.fits_packs_of_4() && c.fits_packs_of_4());
}

}  // namespace lockstep::gpu
