// Attention of each sample and head: scores, their softmax and the weighted sums; products read
// queries, keys and values where the projection left them. Scores and their gradients are float32,
// whatever the type of the tensors.
#include <cmath>

#include "kernels/cuda/checks.h"
#include "kernels/cuda/head_product.h"
#include "kernels/cuda/rows.h"

namespace lockstep {

namespace gpu {
namespace {

struct Scores {  // (samples, heads, tokens, tokens); a row is a query
  std::int64_t tokens, heads;
  bool causal;
  std::int64_t padding;
  const std::int64_t* ids;  // (samples, tokens); null where there is no padding

  // The keys from here on lie behind the query.
  __device__ std::int64_t seen(std::int64_t row) const {
    return causal ? row % tokens + 1 : tokens;
  }
  __device__ const std::int64_t* ids_of(std::int64_t row) const {
    return ids == nullptr ? nullptr : ids + row / (tokens * heads) * tokens;
  }
};

// A warp a query. Probabilities take the scores' place, in float32; `kept` gets them for backward,
// and is null where that is the same place.
template <typename T>
struct Probabilities {
  static constexpr int kPack = gpu::kPack<T>;
  Scores of;
  float* scores;
  T* kept;

  __device__ void operator()(std::int64_t row, bool aligned) const {
    const std::int64_t seen = of.seen(row);
    const std::int64_t* const ids = of.ids_of(row);
    const auto attends = [&](std::int64_t key) {
      return key < seen && (ids == nullptr || ids[key] != of.padding);
    };
    float* const from = scores + row * of.tokens;
    // A NaN may be lost here; e^(x - maximum) then finds it again.
    float shift = -INFINITY, total = 0;
    for_lane_packs<kPack>(seen, aligned, [&](std::int64_t start, std::int64_t count, bool whole) {
      float values[kPack];
      load_some<kPack>(from + start, count, whole, values);
#pragma unroll
      for (int i = 0; i < kPack; ++i)
        if (attends(start + i)) shift = fmaxf(shift, values[i]);
    });
    shift = warp_max(shift);
    for_lane_packs<kPack>(seen, aligned, [&](std::int64_t start, std::int64_t count, bool whole) {
      float values[kPack];
      load_some<kPack>(from + start, count, whole, values);
#pragma unroll
      for (int i = 0; i < kPack; ++i)
        if (attends(start + i)) total += expf(values[i] - shift);
    });
    total = warp_sum(total);
    for_lane_packs<kPack>(
        of.tokens, aligned, [&](std::int64_t start, std::int64_t count, bool whole) {
          float values[kPack];
          load_some<kPack>(from + start, count, whole, values);
#pragma unroll
          for (int i = 0; i < kPack; ++i)
            values[i] = attends(start + i) ? expf(values[i] - shift) / total : 0.0f;
          store_some<kPack>(from + start, count, whole, values);
          if (kept != nullptr)
            store_some<kPack>(kept + row * of.tokens + start, count, whole, values);
        });
  }
};

// dS = factor P (dP - Σ P dP), in place of dP; a masked place has P = 0.
template <typename T>
struct ScoreGradients {
  static constexpr int kPack = gpu::kPack<T>;
  Scores of;
  const T* probabilities;
  float* slopes;
  float factor;

  __device__ void operator()(std::int64_t row, bool aligned) const {
    const std::int64_t first = row * of.tokens, seen = of.seen(row);
    float total = 0;
    for_lane_packs<kPack>(seen, aligned, [&](std::int64_t start, std::int64_t count, bool whole) {
      float p[kPack], dp[kPack];
      load_some<kPack>(probabilities + first + start, count, whole, p);
      load_some<kPack>(slopes + first + start, count, whole, dp);
#pragma unroll
      for (int i = 0; i < kPack; ++i) total = fmaf(p[i], dp[i], total);
    });
    total = warp_sum(total);
    for_lane_packs<kPack>(of.tokens, aligned,
                          [&](std::int64_t start, std::int64_t count, bool whole) {
                            float p[kPack], dp[kPack];
                            load_some<kPack>(probabilities + first + start, count, whole, p);
                            load_some<kPack>(slopes + first + start, count, whole, dp);
#pragma unroll
                            for (int i = 0; i < kPack; ++i)
                              dp[i] = start + i < seen ? p[i] * (dp[i] - total) * factor : 0.0f;
                            store_some<kPack>(slopes + first + start, count, whole, dp);
                          });
  }
};

template <typename T>
struct Head {  // queries, keys and values, or their gradients
  HeadMatrix<T> q, k, v;

  Head(const AttentionGeometry& g, const Tensor& qkv) {
    const std::int64_t width = g.width();
    q = {qkv.data<T>(), g.tokens * 3 * width, g.head_width, 3 * width};
    k = q;
    k.data += width;
    v = k;
    v.data += width;
  }
};

template <typename T>
HeadMatrix<T> outputs_of(const AttentionGeometry& g, const Tensor& y) {
  return {y.data<T>(), g.tokens * g.width(), g.head_width, g.width()};
}

template <typename T>
HeadMatrix<T> scores_of(const AttentionGeometry& g, T* scores) {
  const std::int64_t matrix = g.tokens * g.tokens;
  return {scores, g.heads * matrix, matrix, g.tokens};
}

float score_factor(const AttentionGeometry& g) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(g.head_width)));
}

void check_attention(const AttentionGeometry& g, const Tensor& qkv, const char* qkv_name,
                     const Tensor& probabilities, const Tensor& y, const char* y_name) {
  LOCKSTEP_CHECK(g.tokens > 0 && g.heads > 0 && g.head_width > 0,
                 "attention of {} heads of {} over {} tokens", g.heads, g.head_width, g.tokens);
  LOCKSTEP_CHECK(qkv.defined(), "{} is undefined", qkv_name);
  const std::int64_t rows = qkv.rows();
  check_shape(qkv, {rows, g.tokens, 3 * g.width()}, qkv_name, qkv.dtype());
  check_shape(probabilities, {rows, g.heads, g.tokens, g.tokens}, "probabilities", qkv.dtype());
  check_shape(y, {rows, g.tokens, g.width()}, y_name, qkv.dtype());
}

// Products whose result has a row for each token, with the triangle of causal attention.
struct Products {
  const AttentionGeometry& g;
  std::int64_t samples;

  HeadProduct of(std::int64_t columns, std::int64_t inner, Triangle causal,
                 float factor = 1) const {
    return {
        samples, g.heads, g.tokens, columns, inner, factor, g.causal ? causal : Triangle::kNone};
  }
};

}  // namespace
}  // namespace gpu

void CudaBackend::attention_forward(Stream& stream, const AttentionGeometry& g, const Tensor& qkv,
                                    const Tensor& ids, Tensor& probabilities, Tensor& y) {
  gpu::check_attention(g, qkv, "qkv", probabilities, y, "y");
  if (g.padding >= 0) gpu::check_shape(ids, {qkv.rows(), g.tokens}, "ids", DType::kInt64);
  if (qkv.rows() == 0) return;
  constexpr const char* kName = "attention_forward";
  const gpu::Products products{g, qkv.rows()};
  const gpu::Scores each{g.tokens, g.heads, g.causal, g.padding,
                         g.padding >= 0 ? ids.data<std::int64_t>() : nullptr};
  gpu::for_element_type(qkv, "qkv", [&]<typename T>(T) {
    float* scores;
    T* kept = nullptr;
    if constexpr (std::is_same_v<T, float>) {
      scores = probabilities.data<float>();
    } else {
      scores = gpu::workspace_of<float>(stream, probabilities.elements());
      kept = probabilities.data<T>();
    }
    const gpu::Head<T> in(g, qkv);
    gpu::multiply_heads<false, true>(
        gpu::raw(stream), kName,
        products.of(g.tokens, g.head_width, gpu::Triangle::kLowerResult, gpu::score_factor(g)),
        in.q, in.k, gpu::scores_of(g, scores));
    gpu::for_rows(gpu::raw(stream), kName, gpu::Probabilities<T>{each, scores, kept},
                  probabilities.elements() / g.tokens, g.tokens,
                  gpu::aligned<gpu::kPack<T>>(scores) &&
                      gpu::all_aligned<gpu::kPack<T>, T>({&probabilities}));
    gpu::multiply_heads<false, false>(
        gpu::raw(stream), kName, products.of(g.head_width, g.tokens, gpu::Triangle::kLowerLeft),
        gpu::scores_of(g, scores), in.v, gpu::outputs_of<T>(g, y));
  });
}

// With P the probabilities: dV = Pᵀ dY, dP = dY Vᵀ, dS = P (dP - Σ P dP) / √width, dQ = dS K,
// dK = dSᵀ Q.
void CudaBackend::attention_backward(Stream& stream, const AttentionGeometry& g, const Tensor& qkv,
                                     const Tensor& probabilities, const Tensor& dy, Tensor& dqkv) {
  gpu::check_attention(g, qkv, "qkv", probabilities, dy, "dy");
  gpu::check_like(dqkv, qkv, "dqkv");
  if (qkv.rows() == 0) return;
  constexpr const char* kName = "attention_backward";
  using enum gpu::Triangle;
  const gpu::Products products{g, qkv.rows()};
  const gpu::Scores each{g.tokens, g.heads, g.causal, g.padding, nullptr};
  float* const slopes = gpu::workspace_of<float>(stream, probabilities.elements());
  gpu::for_element_type(qkv, "qkv", [&]<typename T>(T) {
    const auto raw = gpu::raw(stream);
    const gpu::Head<T> in(g, qkv), out(g, dqkv);
    const auto p = gpu::scores_of(g, probabilities.data<T>());
    const auto ds = gpu::scores_of(g, slopes);
    const auto dout = gpu::outputs_of<T>(g, dy);
    gpu::multiply_heads<true, false>(raw, kName, products.of(g.head_width, g.tokens, kUpperLeft), p,
                                     dout, out.v);
    gpu::multiply_heads<false, true>(raw, kName, products.of(g.tokens, g.head_width, kLowerResult),
                                     dout, in.v, ds);
    gpu::for_rows(
        raw, kName,
        gpu::ScoreGradients<T>{each, probabilities.data<T>(), slopes, gpu::score_factor(g)},
        probabilities.elements() / g.tokens, g.tokens,
        gpu::aligned<gpu::kPack<T>>(slopes) &&
            gpu::all_aligned<gpu::kPack<T>, T>({&probabilities}));
    gpu::multiply_heads<false, false>(raw, kName, products.of(g.head_width, g.tokens, kLowerLeft),
                                      ds, in.k, out.q);
    gpu::multiply_heads<true, false>(raw, kName, products.of(g.head_width, g.tokens, kUpperLeft),
                                     ds, in.q, out.k);
  });
}

}  // namespace lockstep
