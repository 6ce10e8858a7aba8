// Kernels over arrays (groups, rows, channels) whose threads each hold N neighbouring channels and
// walk over rows: maps with constants of the channel, and sums over the rows of a group. Which rows
// a thread adds up, and how the threads' sums are joined, follows from rows, channels and N alone.
#pragma once

#include <bit>

#include "kernels/cuda/kernel.h"

namespace lockstep::gpu {

inline constexpr unsigned kColumnThreads = 256;

struct ColumnGrid {
  std::int64_t groups = 1, rows = 0, channels = 0;
  unsigned across = 1, down = 1;  // threads of a block: by packs of channels, by rows
  std::int64_t block_rows = 0;    // rows that a block walks over
  unsigned chunks = 0;            // blocks that share the rows of a group
  bool aligned = false;           // whether packs may be read: addresses and channels fit

  Launch launch_of(const char* name, int pack) const {
    const auto tiles = blocks_for(channels, static_cast<std::int64_t>(across) * pack);
    return {.name = name,
            .grid = {static_cast<unsigned>(groups) * chunks, tiles},
            .block = {kColumnThreads}};
  }
};

template <int N>
ColumnGrid column_grid(std::int64_t groups, std::int64_t rows, std::int64_t channels,
                       int thread_rows, bool aligned_addresses) {
  ColumnGrid grid{.groups = groups, .rows = rows, .channels = channels};
  const auto packs = static_cast<unsigned>((channels + N - 1) / N);
  grid.across = packs >= 32 ? 32 : std::bit_ceil(packs);
  grid.down = kColumnThreads / grid.across;
  grid.block_rows = static_cast<std::int64_t>(grid.down) * thread_rows;
  grid.chunks = blocks_for(rows, grid.block_rows);
  grid.aligned = aligned_addresses && channels % N == 0;
  return grid;
}

// Where a thread stands.
struct ColumnPlace {
  std::int64_t group, first, end;  // rows [first, end) of the group in steps of `down`
  std::int64_t channel, count;     // its channels; none where count < 1
  bool whole;                      // all N of them, in one access

  __device__ ColumnPlace(const ColumnGrid& grid, int pack)
      : group(blockIdx.x / grid.chunks),
        first(blockIdx.x % grid.chunks * grid.block_rows + threadIdx.x / grid.across),
        end((blockIdx.x % grid.chunks + 1) * grid.block_rows),
        channel((static_cast<std::int64_t>(blockIdx.y) * grid.across + threadIdx.x % grid.across) *
                pack),
        count(grid.channels - channel < pack ? grid.channels - channel : pack),
        whole(grid.aligned && count == pack) {
    if (end > grid.rows) end = grid.rows;
  }
};

// ---- maps. Map: kPack; begin(group, channel, count, whole) fetches what all rows of a channel
// share, at(row, offset, count, whole) does the elements from there on.
template <typename Map>
__global__ void __launch_bounds__(kColumnThreads) column_map_kernel(ColumnGrid grid, Map given) {
  const ColumnPlace place(grid, Map::kPack);
  if (place.count < 1) return;
  Map map = given;
  map.begin(place.group, place.channel, place.count, place.whole);
  for (std::int64_t row = place.first; row < place.end; row += grid.down)
    map.at(place.group * grid.rows + row,
           (place.group * grid.rows + row) * grid.channels + place.channel, place.count,
           place.whole);
}

template <typename Map>
void map_columns(RawStream stream, const char* name, const Map& map, std::int64_t groups,
                 std::int64_t rows, std::int64_t channels, bool aligned_addresses) {
  if (groups * rows * channels == 0) return;
  constexpr int kThreadRows = 4;
  const auto grid = column_grid<Map::kPack>(groups, rows, channels, kThreadRows, aligned_addresses);
  launch(stream, grid.launch_of(name, Map::kPack), column_map_kernel<Map>, grid, map);
}

// ---- sums. Sum: kPack, kSums; begin(group, channel, count, whole); add(row, offset, count,
// whole) takes a row; result(sums, n) gives what the n rows made; merge(a, na, b, nb) joins b, from
// nb rows, to a, from na. Finish: (group, channel, sums) stores what comes of it.
template <typename Sum>
__device__ __forceinline__ void join_rows(const ColumnGrid& grid, std::int64_t rows,
                                          float (&sums)[Sum::kSums][Sum::kPack]) {
  LOCKSTEP_SHARED(float[Sum::kSums][Sum::kPack][kColumnThreads], shared);
  const unsigned thread = threadIdx.x, row = thread / grid.across;
#pragma unroll
  for (int s = 0; s < Sum::kSums; ++s)
#pragma unroll
    for (int i = 0; i < Sum::kPack; ++i) shared[s][i][thread] = sums[s][i];
  __syncthreads();
  // Row r holds the rows r, r + 2 step, r + 4 step ... before a step, and r, r + step ... after it.
  for (unsigned step = grid.down / 2; step > 0; step /= 2) {
    if (row < step) {
      const auto rows_of = [&](unsigned r) {
        return rows > r ? static_cast<float>((rows - r - 1) / (2 * step) + 1) : 0.0f;
      };
#pragma unroll
      for (int i = 0; i < Sum::kPack; ++i) {
        float a[Sum::kSums], b[Sum::kSums];
#pragma unroll
        for (int s = 0; s < Sum::kSums; ++s) {
          a[s] = shared[s][i][thread];
          b[s] = shared[s][i][thread + step * grid.across];
        }
        Sum::merge(a, rows_of(row), b, rows_of(row + step));
#pragma unroll
        for (int s = 0; s < Sum::kSums; ++s) shared[s][i][thread] = a[s];
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int s = 0; s < Sum::kSums; ++s)
#pragma unroll
    for (int i = 0; i < Sum::kPack; ++i) sums[s][i] = shared[s][i][thread];
}

// parts: (groups, chunks, kSums, channels); null where there is one chunk, which is the result.
template <typename Sum, typename Finish>
__global__ void __launch_bounds__(kColumnThreads)
    column_sums_kernel(ColumnGrid grid, Sum given, Finish finish, float* parts) {
  const ColumnPlace place(grid, Sum::kPack);
  float sums[Sum::kSums][Sum::kPack] = {};
  if (place.count > 0) {
    Sum sum = given;
    sum.begin(place.group, place.channel, place.count, place.whole);
    std::int64_t rows = 0;
    for (std::int64_t row = place.first; row < place.end; row += grid.down, ++rows)
      sum.add(place.group * grid.rows + row,
              (place.group * grid.rows + row) * grid.channels + place.channel, place.count,
              place.whole);
    sum.result(sums, static_cast<float>(rows));
  }
  const std::int64_t chunk = blockIdx.x % grid.chunks;
  join_rows<Sum>(grid, place.end - chunk * grid.block_rows, sums);
  if (threadIdx.x >= grid.across) return;
#pragma unroll
  for (int i = 0; i < Sum::kPack; ++i) {
    if (i >= place.count) continue;
    float result[Sum::kSums];
#pragma unroll
    for (int s = 0; s < Sum::kSums; ++s) result[s] = sums[s][i];
    if (parts == nullptr) {
      finish(place.group, place.channel + i, result);
      continue;
    }
    float* const part = parts + blockIdx.x * Sum::kSums * grid.channels + place.channel + i;
#pragma unroll
    for (int s = 0; s < Sum::kSums; ++s) part[s * grid.channels] = result[s];
  }
}

// A lane a channel; the warps of a block each join every kWarps-th part, then the warps' results
// are joined in their order.
template <typename Sum, typename Finish>
__global__ void __launch_bounds__(kColumnThreads)
    column_parts_kernel(ColumnGrid grid, Finish finish, const float* parts) {
  constexpr unsigned kWarps = kColumnThreads / kWarp;
  LOCKSTEP_SHARED(float[Sum::kSums][kWarps][kWarp], shared);
  LOCKSTEP_SHARED(float[kWarps], shared_rows);
  const unsigned lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const std::int64_t channel = static_cast<std::int64_t>(blockIdx.y) * kWarp + lane;
  const auto group = static_cast<std::int64_t>(blockIdx.x);
  float sums[Sum::kSums] = {}, rows = 0;
  for (unsigned chunk = warp; chunk < grid.chunks; chunk += kWarps) {
    const std::int64_t left = grid.rows - chunk * grid.block_rows;
    const auto these = static_cast<float>(left < grid.block_rows ? left : grid.block_rows);
    if (channel < grid.channels) {
      const float* const part =
          parts + (group * grid.chunks + chunk) * Sum::kSums * grid.channels + channel;
      float more[Sum::kSums];
#pragma unroll
      for (int s = 0; s < Sum::kSums; ++s) more[s] = part[s * grid.channels];
      Sum::merge(sums, rows, more, these);
    }
    rows += these;
  }
#pragma unroll
  for (int s = 0; s < Sum::kSums; ++s) shared[s][warp][lane] = sums[s];
  if (lane == 0) shared_rows[warp] = rows;
  __syncthreads();
  if (warp > 0 || channel >= grid.channels) return;
  for (unsigned other = 1; other < kWarps; ++other) {
    float more[Sum::kSums];
#pragma unroll
    for (int s = 0; s < Sum::kSums; ++s) more[s] = shared[s][other][lane];
    Sum::merge(sums, rows, more, shared_rows[other]);
    rows += shared_rows[other];
  }
  finish(group, channel, sums);
}

// Joins that are plain sums.
template <int kCount>
__device__ __forceinline__ void add_sums(float (&a)[kCount], const float (&b)[kCount]) {
#pragma unroll
  for (int s = 0; s < kCount; ++s) a[s] += b[s];
}

// The plain sum of a tensor's rows.
template <typename T>
struct RowTotal {
  static constexpr int kPack = gpu::kPack<T>, kSums = 1;
  const T* x;
  float total[kPack] = {};

  __device__ void begin(std::int64_t, std::int64_t, std::int64_t, bool) {}
  __device__ void add(std::int64_t, std::int64_t offset, std::int64_t count, bool whole) {
    float values[kPack];
    load_some<kPack>(x + offset, count, whole, values);
#pragma unroll
    for (int i = 0; i < kPack; ++i) total[i] += values[i];
  }
  __device__ void result(float (&sums)[kSums][kPack], float) const {
#pragma unroll
    for (int i = 0; i < kPack; ++i) sums[0][i] = total[i];
  }
  __device__ static void merge(float (&a)[kSums], float, const float (&b)[kSums], float) {
    add_sums(a, b);
  }
};

// rows, groups and channels are positive. workspace(bytes) gives scratch memory of the device.
template <typename Sum, typename Finish, typename Workspace>
void sum_columns(RawStream stream, const char* name, const Sum& sum, const Finish& finish,
                 std::int64_t groups, std::int64_t rows, std::int64_t channels,
                 bool aligned_addresses, const Workspace& workspace) {
  constexpr int kThreadRows = 16;
  const auto grid = column_grid<Sum::kPack>(groups, rows, channels, kThreadRows, aligned_addresses);
  float* parts = nullptr;
  if (grid.chunks > 1) parts = workspace(groups * grid.chunks * Sum::kSums * channels);
  launch(stream, grid.launch_of(name, Sum::kPack), column_sums_kernel<Sum, Finish>, grid, sum,
         finish, parts);
  if (parts == nullptr) return;
  const Launch last{.name = name,
                    .grid = {static_cast<unsigned>(groups), blocks_for(channels, kWarp)},
                    .block = {kColumnThreads}};
  launch(stream, last, column_parts_kernel<Sum, Finish>, grid, finish, parts);
}

}  // namespace lockstep::gpu
