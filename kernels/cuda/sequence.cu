// The exchange of the first two axes, a row added to all rows, the sum of all rows, and the mean
// over the tokens that are no padding.
#include <algorithm>

#include "kernels/cuda/checks.h"
#include "kernels/cuda/column_total.h"
#include "kernels/cuda/columns.h"
#include "kernels/cuda/rows.h"

namespace lockstep {

namespace gpu {
namespace {

// Copies words as they are. The longer of the two axes is the one that threads walk along; strides
// are those of the two axes in `from` and `to`.
template <typename Word>
struct SwapRows {
  static constexpr int kPack = static_cast<int>(16 / sizeof(Word));
  struct Strides {
    std::int64_t group, row;
  };
  const Word* from;
  Word* to;
  std::int64_t rows;
  Strides read, written;
  std::int64_t group = 0, word = 0;

  __device__ void begin(std::int64_t group_of, std::int64_t first, std::int64_t, bool) {
    group = group_of;
    word = first;
  }
  __device__ void at(std::int64_t number, std::int64_t, std::int64_t count, bool whole) const {
    const std::int64_t row = number - group * rows;
    copy_some<kPack>(from + group * read.group + row * read.row + word,
                     to + group * written.group + row * written.row + word, count, whole);
  }
};

template <typename Word>
void swap_rows_of(Stream& stream, const Tensor& x, std::int64_t outer, std::int64_t inner,
                  Tensor& y) {
  const auto* const from = reinterpret_cast<const Word*>(x.raw());
  auto* const to = reinterpret_cast<Word*>(y.raw());
  const auto words = static_cast<std::int64_t>(x.bytes() / sizeof(Word)) / (outer * inner);
  const bool along_outer = outer >= inner;
  // Of a place (a, b): x's row a · inner + b goes to y's row b · outer + a.
  const std::int64_t of_a[] = {inner * words, words}, of_b[] = {words, outer * words};
  SwapRows<Word> map{.from = from,
                     .to = to,
                     .rows = std::max(outer, inner),
                     .read = {of_b[0], of_a[0]},
                     .written = {of_b[1], of_a[1]}};
  if (!along_outer) {
    std::swap(map.read.group, map.read.row);
    std::swap(map.written.group, map.written.row);
  }
  constexpr int N = SwapRows<Word>::kPack;
  map_columns(raw(stream), "swap_rows", map, std::min(outer, inner), map.rows, words,
              aligned<N>(from) && aligned<N>(to));
}

template <typename T, typename R>
struct AddRow {
  static constexpr int kPack = gpu::kPack<T>;
  const T* x;
  const R* row;
  T* y;
  float added[kPack] = {};

  __device__ void begin(std::int64_t, std::int64_t first, std::int64_t count, bool whole) {
    load_some<kPack>(row + first, count, whole, added);
  }
  __device__ void at(std::int64_t, std::int64_t offset, std::int64_t count, bool whole) const {
    float values[kPack];
    load_some<kPack>(x + offset, count, whole, values);
#pragma unroll
    for (int i = 0; i < kPack; ++i) values[i] += added[i];
    store_some<kPack>(y + offset, count, whole, values);
  }
};

// ---- means: a group is a sample, a row a token
// 1 / the tokens that count; 0 where none does.
__device__ __forceinline__ float share_of_token(float counted) {
  return counted > 0.0f ? 1.0f / counted : 0.0f;
}

template <typename T>
struct TokenSums {  // Σ x and the number of tokens, both over those that count
  static constexpr int kPack = gpu::kPack<T>, kSums = 2;
  const T* x;
  const std::int64_t* ids;
  std::int64_t padding;
  float total[kPack] = {}, counted = 0;

  __device__ void begin(std::int64_t, std::int64_t, std::int64_t, bool) {}
  __device__ void add(std::int64_t token, std::int64_t offset, std::int64_t count, bool whole) {
    if (ids[token] == padding) return;
    float values[kPack];
    load_some<kPack>(x + offset, count, whole, values);
#pragma unroll
    for (int i = 0; i < kPack; ++i) total[i] += values[i];
    counted += 1.0f;
  }
  __device__ void result(float (&sums)[kSums][kPack], float) const {
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      sums[0][i] = total[i];
      sums[1][i] = counted;
    }
  }
  __device__ static void merge(float (&a)[kSums], float, const float (&b)[kSums], float) {
    add_sums(a, b);
  }
};

template <typename T>
struct StoreMean {
  T* y;
  std::int64_t channels;
  __device__ void operator()(std::int64_t sample, std::int64_t channel,
                             const float (&sums)[2]) const {
    store(y + sample * channels + channel, sums[0] * share_of_token(sums[1]));
  }
};

// A warp a sample: what each token that counts receives of the mean's gradient.
struct TokenShares {
  static constexpr int kPack = 2;
  const std::int64_t* ids;
  float* shares;
  std::int64_t tokens, padding;

  __device__ void operator()(std::int64_t sample, bool aligned) const {
    float counted = 0;
    for_lane_packs<kPack>(tokens, aligned, [&](std::int64_t start, std::int64_t count, bool whole) {
      std::int64_t id[kPack];
      load_some<kPack>(ids + sample * tokens + start, count, whole, id, padding);
#pragma unroll
      for (int i = 0; i < kPack; ++i) counted += id[i] == padding ? 0.0f : 1.0f;
    });
    counted = warp_sum(counted);
    if (threadIdx.x % kWarp == 0) shares[sample] = share_of_token(counted);
  }
};

template <typename T>
struct SpreadMean {
  static constexpr int kPack = gpu::kPack<T>;
  const T* dy;
  const std::int64_t* ids;
  const float* shares;
  T* dx;
  std::int64_t channels, padding;
  float slope[kPack] = {};

  __device__ void begin(std::int64_t sample, std::int64_t channel, std::int64_t count, bool whole) {
    load_some<kPack>(dy + sample * channels + channel, count, whole, slope);
#pragma unroll
    for (int i = 0; i < kPack; ++i) slope[i] *= shares[sample];
  }
  __device__ void at(std::int64_t token, std::int64_t offset, std::int64_t count,
                     bool whole) const {
    const float zeros[kPack] = {};
    store_some<kPack>(dx + offset, count, whole, ids[token] == padding ? zeros : slope);
  }
};

void check_mean(const Tensor& ids, const Tensor& tokens, const char* tokens_name,
                const Tensor& mean, const char* mean_name) {
  LOCKSTEP_CHECK(tokens.defined() && tokens.shape().rank() == 3, "{} is {}, not (N, T, C)",
                 tokens_name, tokens.shape().to_string());
  const Shape& shape = tokens.shape();
  check_shape(ids, {shape[0], shape[1]}, "ids", DType::kInt64);
  check_shape(mean, {shape[0], shape[2]}, mean_name, tokens.dtype());
}

}  // namespace
}  // namespace gpu

void CudaBackend::swap_rows(Stream& stream, const Tensor& x, Tensor& y) {
  LOCKSTEP_CHECK(x.defined() && x.shape().rank() >= 2, "x is {}, with no two axes to swap",
                 x.shape().to_string());
  const std::int64_t outer = x.shape()[0], inner = x.shape()[1];
  gpu::check_shape(y, x.shape().without_rows().without_rows().with_rows(outer).with_rows(inner),
                   "y", x.dtype());
  if (x.elements() == 0) return;
  switch (size_of(x.dtype())) {
    case 1:
      return gpu::swap_rows_of<std::uint8_t>(stream, x, outer, inner, y);
    case 2:
      return gpu::swap_rows_of<std::uint16_t>(stream, x, outer, inner, y);
    default:
      return gpu::swap_rows_of<std::uint32_t>(stream, x, outer, inner, y);
  }
}

void CudaBackend::add_row(Stream& stream, const Tensor& x, const Tensor& row, Tensor& y) {
  gpu::check_like(y, x, "y");
  const std::int64_t length = x.shape().without_rows().elements();
  LOCKSTEP_CHECK(row.defined(), "row is undefined");
  gpu::check_count(row, length, "row", row.dtype());
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    gpu::for_element_type(row, "row", [&]<typename R>(R) {
      constexpr int N = gpu::kPack<T>;
      gpu::map_columns(gpu::raw(stream), "add_row",
                       gpu::AddRow<T, R>{.x = x.data<T>(), .row = row.data<R>(), .y = y.data<T>()},
                       1, x.rows(), length,
                       gpu::all_aligned<N, T>({&x, &y}) && gpu::all_aligned<N, R>({&row}));
    });
  });
}

void CudaBackend::sum_rows(Stream& stream, const Tensor& x, Tensor& row) {
  LOCKSTEP_CHECK(x.defined(), "x is undefined");
  gpu::column_total(stream, "sum_rows", x, x.shape().without_rows().elements(), row);
}

void CudaBackend::mean_tokens_forward(Stream& stream, std::int64_t padding, const Tensor& ids,
                                      const Tensor& x, Tensor& y) {
  gpu::check_mean(ids, x, "x", y, "y");
  const std::int64_t samples = x.rows(), tokens = x.shape()[1], channels = x.shape()[2];
  if (y.elements() == 0) return;
  if (tokens == 0) {
    gpu::set_bytes(y.raw(), 0, y.bytes(), gpu::raw(stream));
    return;
  }
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    const gpu::TokenSums<T> sums{
        .x = x.data<T>(), .ids = ids.data<std::int64_t>(), .padding = padding};
    gpu::sum_columns(gpu::raw(stream), "mean_tokens_forward", sums,
                     gpu::StoreMean<T>{y.data<T>(), channels}, samples, tokens, channels,
                     gpu::all_aligned<gpu::kPack<T>, T>({&x}), gpu::floats_of(stream));
  });
}

void CudaBackend::mean_tokens_backward(Stream& stream, std::int64_t padding, const Tensor& ids,
                                       const Tensor& dy, Tensor& dx) {
  gpu::check_mean(ids, dx, "dx", dy, "dy");
  const std::int64_t samples = dx.rows(), tokens = dx.shape()[1], channels = dx.shape()[2];
  if (dx.elements() == 0) return;
  const auto* const id = ids.data<std::int64_t>();
  auto* const shares = gpu::workspace_of<float>(stream, samples);
  gpu::for_rows(gpu::raw(stream), "mean_tokens_backward",
                gpu::TokenShares{id, shares, tokens, padding}, samples, tokens,
                gpu::aligned<gpu::TokenShares::kPack>(id));
  gpu::for_element_type(dx, "dx", [&]<typename T>(T) {
    const gpu::SpreadMean<T> map{.dy = dy.data<T>(),
                                 .ids = id,
                                 .shares = shares,
                                 .dx = dx.data<T>(),
                                 .channels = channels,
                                 .padding = padding};
    gpu::map_columns(gpu::raw(stream), "mean_tokens_backward", map, samples, tokens, channels,
                     gpu::all_aligned<gpu::kPack<T>, T>({&dy, &dx}));
  });
}

}  // namespace lockstep
