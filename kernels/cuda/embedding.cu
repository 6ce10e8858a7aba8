// Embedding tables: rows fetched by their ids, and the sums of gradients that each row receives.
// The table may have the tokens' type or another; its gradient is float32, as those of all weights.
//
// Backward, a block has 64 rows of the table. It looks through the ids by rounds of 1024, keeps the
// places that hold one of its rows, in their order, and each of its warps adds up, row by row, what
// its rows receive: first over the places of a round, then over the rounds. Where the table is
// small against the ids, the rounds are shared out to several blocks, whose sums are added last.
#include <algorithm>

#include "kernels/cuda/checks.h"
#include "kernels/cuda/columns.h"

namespace lockstep {

namespace gpu {
namespace {

template <typename T, typename W>
struct Fetch {
  static constexpr int kPack = gpu::kPack<T>;
  const std::int64_t *ids, *sample_ids;
  const W* table;
  T* y;
  std::int64_t rows, width, tokens;  // of the table; ids of a sample
  FaultSlot fault;
  std::int64_t column = 0;

  __device__ void begin(std::int64_t, std::int64_t first, std::int64_t, bool) { column = first; }
  __device__ void at(std::int64_t place, std::int64_t offset, std::int64_t count,
                     bool whole) const {
    const std::int64_t id = ids[place];
    float values[kPack] = {};
    if (id >= 0 && id < rows)
      load_some<kPack>(table + id * width + column, count, whole, values);
    else if (column == 0)
      report_fault(fault, place, id, sample_ids[place / tokens]);
    store_some<kPack>(y + offset, count, whole, values);
  }
};

constexpr unsigned kThreads = 256, kWarps = kThreads / kWarp;
constexpr int kBlockRows = 64;  // of the table
constexpr std::int64_t kRound = 1024;
constexpr int kAhead = 4;                     // loads that a lane has under way
constexpr int kWarpPlaces = kRound / kWarps;  // of a round, looked through by one warp

struct Places {  // of a round, that hold rows of the block
  int* row;      // within the block
  int* place;    // within the round
  int count;
};

// Called by all threads of a block; ends with a barrier.
__device__ __forceinline__ Places places_of_round(const std::int64_t* ids, std::int64_t begin,
                                                  std::int64_t end, std::int64_t first_row,
                                                  std::int64_t rows, std::int64_t padding) {
  LOCKSTEP_SHARED(int[kRound], row);
  LOCKSTEP_SHARED(int[kRound], place);
  LOCKSTEP_SHARED(int[kWarps], counts);
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  constexpr int kSteps = kWarpPlaces / static_cast<int>(kWarp);
  int own[kSteps], before[kSteps], count = 0;
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const std::int64_t at = begin + warp * kWarpPlaces + step * static_cast<int>(kWarp) + lane;
    const std::int64_t id = at < end ? ids[at] : padding;
    own[step] = id != padding && id >= first_row && id < first_row + rows
                    ? static_cast<int>(id - first_row)
                    : -1;
    const unsigned kept = __ballot_sync(kWholeWarp, own[step] >= 0);
    before[step] = count + __popc(kept & ((1u << lane) - 1));
    count += __popc(kept);
  }
  __syncthreads();  // the last round's places have been used
  if (lane == 0) counts[warp] = count;
  __syncthreads();
  int first = 0, all = 0;
  for (int other = 0; other < static_cast<int>(kWarps); ++other) {
    if (other == warp) first = all;
    all += counts[other];
  }
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    if (own[step] < 0) continue;
    row[first + before[step]] = own[step];
    place[first + before[step]] = warp * kWarpPlaces + step * static_cast<int>(kWarp) + lane;
  }
  __syncthreads();
  return {row, place, all};
}

// Adds what the places give one row of the table, in a lane's pack of columns, to `sum`. Whether
// there was any.
template <int N, typename T>
__device__ __forceinline__ bool add_places(const Places& places, int row, const T* dy,
                                           std::int64_t width, std::int64_t count, bool whole,
                                           float (&sum)[N]) {
  const int lane = threadIdx.x % kWarp;
  bool any = false;
  for (int start = 0; start < places.count; start += kWarp) {
    const bool mine = start + lane < places.count && places.row[start + lane] == row;
    unsigned held = __ballot_sync(kWholeWarp, mine);
    any = any || held != 0;
    while (held != 0) {
      float values[kAhead][N] = {};  // the zeros of those that there are not change no sum
#pragma unroll
      for (int k = 0; k < kAhead; ++k) {
        if (held == 0) continue;
        const int place = places.place[start + __ffs(static_cast<int>(held)) - 1];
        load_some<N>(dy + place * width, count, whole, values[k]);
        held &= held - 1;
      }
#pragma unroll
      for (int k = 0; k < kAhead; ++k)
#pragma unroll
        for (int i = 0; i < N; ++i) sum[i] += values[k][i];
    }
  }
  return any;
}

struct TableSums {
  const std::int64_t* ids;
  std::int64_t places, rows, width, padding;  // rows and width of the table
  std::int64_t part_places;                   // whole rounds, of a block
};

// sums: (parts, rows, width)
template <typename T>
__global__ void __launch_bounds__(kThreads)
    table_sums_kernel(TableSums of, const T* dy, float* sums, bool aligned) {
  constexpr int N = kPack<T>;
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const std::int64_t first_row = static_cast<std::int64_t>(blockIdx.x) * kBlockRows;
  const std::int64_t rows = of.rows - first_row < kBlockRows ? of.rows - first_row : kBlockRows;
  float* const to = sums + (blockIdx.y * of.rows + first_row) * of.width;
  const auto for_packs = [&](const auto& step) {
    for (int row = warp; row < rows; row += kWarps) {
      for (std::int64_t start = 0; start < of.width; start += kWarp * N) {
        const std::int64_t column = start + lane * N;
        const std::int64_t count = of.width - column < N ? of.width - column : N;
        step(row, column, count, aligned && count == N);
      }
    }
  };
  for_packs([&](int row, std::int64_t column, std::int64_t count, bool whole) {
    const float zeros[N] = {};
    store_some<N>(to + row * of.width + column, count, whole, zeros);
  });
  const std::int64_t part = blockIdx.y * of.part_places;
  const std::int64_t end = part + of.part_places < of.places ? part + of.part_places : of.places;
  for (std::int64_t begin = part; begin < end; begin += kRound) {
    const Places places = places_of_round(of.ids, begin, end, first_row, rows, of.padding);
    if (places.count == 0) continue;
    for_packs([&](int row, std::int64_t column, std::int64_t count, bool whole) {
      float sum[N] = {}, before[N];
      if (!add_places<N>(places, row, dy + begin * of.width + column, of.width, count, whole, sum))
        return;
      load_some<N>(to + row * of.width + column, count, whole, before);
#pragma unroll
      for (int i = 0; i < N; ++i) sum[i] += before[i];
      store_some<N>(to + row * of.width + column, count, whole, sum);
    });
  }
}

// y[i] = Σ parts[k][i], in the order of k
__global__ void __launch_bounds__(kThreads)
    add_parts_kernel(const float* parts, std::int64_t count, std::int64_t elements, float* y) {
  const std::int64_t i = thread_number();
  if (i >= elements) return;
  float sum = parts[i];
  for (std::int64_t part = 1; part < count; ++part) sum += parts[part * elements + i];
  y[i] = sum;
}

// Rows of a table whose rows are as wide as those of the tensor of tokens (ids..., C).
std::int64_t table_rows(const Tensor& ids, const Tensor& tokens, const char* name,
                        const Tensor& table) {
  check_type(ids, DType::kInt64, "ids");
  LOCKSTEP_CHECK(tokens.defined(), "{} is undefined", name);
  LOCKSTEP_CHECK(table.defined(), "the table is undefined");
  const std::int64_t width = tokens.shape().back();
  LOCKSTEP_CHECK(width > 0 && tokens.elements() == ids.elements() * width, "{} is {} for ids of {}",
                 name, tokens.shape().to_string(), ids.shape().to_string());
  LOCKSTEP_CHECK(table.elements() % width == 0, "a table of {} elements for rows of {}",
                 table.elements(), width);
  return table.elements() / width;
}

}  // namespace
}  // namespace gpu

void CudaBackend::embedding_forward(Stream& stream, const Tensor& sample_ids, const Tensor& ids,
                                    const Tensor& table, Tensor& y) {
  const std::int64_t rows = gpu::table_rows(ids, y, "y", table), width = y.shape().back();
  gpu::check_count(sample_ids, ids.rows(), "sample_ids", DType::kInt64);
  if (ids.elements() == 0) return;
  const std::int64_t tokens = ids.elements() / ids.rows();
  const auto message = [rows, tokens](const gpu::Fault& fault) {
    return fmt::format(
        "sample {} of the split holds the id {} at position {}, but the embedding's table has {} "
        "rows, 0 to {}: give it more rows or mend the data",
        fault.sample, fault.value, fault.place % tokens, rows, rows - 1);
  };
  const gpu::FaultSlot slot = cuda_stream(stream).fault_slot(gpu::FaultKind::kEmbedding, message);
  gpu::for_element_type(y, "y", [&]<typename T>(T) {
    gpu::for_element_type(table, "table", [&]<typename W>(W) {
      constexpr int N = gpu::kPack<T>;
      const gpu::Fetch<T, W> map{.ids = ids.data<std::int64_t>(),
                                 .sample_ids = sample_ids.data<std::int64_t>(),
                                 .table = table.data<W>(),
                                 .y = y.data<T>(),
                                 .rows = rows,
                                 .width = width,
                                 .tokens = tokens,
                                 .fault = slot};
      gpu::map_columns(gpu::raw(stream), "embedding_forward", map, 1, ids.elements(), width,
                       gpu::all_aligned<N, T>({&y}) && gpu::all_aligned<N, W>({&table}));
    });
  });
}

void CudaBackend::embedding_backward(Stream& stream, std::int64_t padding, const Tensor& ids,
                                     const Tensor& dy, Tensor& dtable) {
  const std::int64_t rows = gpu::table_rows(ids, dy, "dy", dtable), width = dy.shape().back();
  gpu::check_type(dtable, DType::kFloat32, "dtable");
  const std::int64_t places = ids.elements(), elements = dtable.elements();
  if (elements == 0) return;
  // Of several parts no more than 32 MB are kept.
  const std::int64_t rounds = std::max<std::int64_t>(gpu::blocks_for(places, gpu::kRound), 1);
  const std::int64_t most = std::clamp<std::int64_t>((std::int64_t{8} << 20) / elements, 1, 1024);
  const std::int64_t part_rounds = (rounds + std::min(rounds, most) - 1) / std::min(rounds, most);
  const std::int64_t parts = (rounds + part_rounds - 1) / part_rounds;
  float* const sums =
      parts == 1 ? dtable.data<float>() : gpu::workspace_of<float>(stream, parts * elements);
  gpu::for_element_type(dy, "dy", [&]<typename T>(T) {
    constexpr int N = gpu::kPack<T>;
    const gpu::TableSums of{ids.data<std::int64_t>(), places, rows, width, padding,
                            part_rounds * gpu::kRound};
    gpu::launch(gpu::raw(stream),
                {.name = "embedding_backward",
                 .grid = {gpu::blocks_for(rows, gpu::kBlockRows), static_cast<unsigned>(parts)},
                 .block = {gpu::kThreads}},
                gpu::table_sums_kernel<T>, of, dy.data<T>(), sums,
                width % N == 0 && gpu::all_aligned<N, T>({&dy}) && gpu::aligned<N>(sums));
  });
  if (parts == 1) return;
  gpu::launch(gpu::raw(stream),
              {.name = "embedding_backward",
               .grid = {gpu::blocks_for(elements, gpu::kThreads)},
               .block = {gpu::kThreads}},
              gpu::add_parts_kernel, sums, parts, elements, dtable.data<float>());
}

}  // namespace lockstep
