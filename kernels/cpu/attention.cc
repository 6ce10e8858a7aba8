// Attention of each sample and head: scores, their softmax and the weighted sums, all products by
// the microkernel, which reads queries, keys and values where the projection left them.
#include <cmath>
#include <limits>

#include "kernels/cpu/backend_impl.h"
#include "kernels/cpu/checks.h"
#include "kernels/cpu/gemm_kernels.h"
#include "kernels/cpu/gemm_runs.h"
#include "kernels/cpu/vector_kernels.h"

namespace lockstep {

namespace {

// A matrix inside a tensor, its rows `stride` apart.
struct Rows {
  float* data = nullptr;
  std::int64_t stride = 0;
};

// c (rows, columns) = a · b, or aᵀ · b where the runs say that a's terms lie a row apart.
GemmProduct product_of(const Rows& a, bool transposed, const Rows& b, const Rows& c,
                       std::int64_t rows, std::int64_t columns, const PlainRuns& runs) {
  GemmProduct product;
  product.a = a.data;
  product.a_stride = a.stride;
  product.transposed = transposed;
  product.b = {b.data, b.stride, kPanelColumns};
  product.c = {c.data, c.stride, kPanelColumns};
  product.rows = rows;
  product.columns = columns;
  runs.use(product);
  return product;
}

// to (columns, rows) = factor · fromᵀ
void transpose(const Rows& from, std::int64_t rows, std::int64_t columns, float factor, float* to) {
  for (std::int64_t c = 0; c < columns; ++c) {
    for (std::int64_t r = 0; r < rows; ++r)
      to[c * rows + r] = factor * from.data[r * from.stride + c];
  }
}

float score_factor(const AttentionGeometry& g) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(g.head_width)));
}

void check_attention(const AttentionGeometry& g, const Tensor& qkv, const char* qkv_name,
                     const Tensor& probabilities, const Tensor& y, const char* y_name) {
  LOCKSTEP_CHECK(g.tokens > 0 && g.heads > 0 && g.head_width > 0,
                 "attention of {} heads of {} over {} tokens", g.heads, g.head_width, g.tokens);
  const std::int64_t rows = qkv.rows();
  cpu::check_shape(qkv, {rows, g.tokens, 3 * g.width()}, qkv_name);
  cpu::check_shape(probabilities, {rows, g.heads, g.tokens, g.tokens}, "probabilities");
  cpu::check_shape(y, {rows, g.tokens, g.width()}, y_name);
}

// Queries, keys and values of one head, or their gradients.
struct Head {
  Rows q, k, v;
  Head(const AttentionGeometry& g, const Tensor& qkv, std::int64_t sample, std::int64_t head) {
    const std::int64_t width = g.width();
    float* const first = qkv.data<float>() + sample * g.tokens * 3 * width + head * g.head_width;
    q = {first, 3 * width};
    k = {first + width, 3 * width};
    v = {first + 2 * width, 3 * width};
  }
};

Rows head_of(const AttentionGeometry& g, const Tensor& y, std::int64_t sample, std::int64_t head) {
  return {y.data<float>() + sample * g.tokens * g.width() + head * g.head_width, g.width()};
}

// Scores to probabilities, where no token attends to padding.
void softmax_past_padding(const AttentionGeometry& g, const std::int64_t* ids,
                          const VectorKernels& vector, float* scores) {
  for (std::int64_t t = 0; t < g.tokens; ++t, scores += g.tokens) {
    const std::int64_t seen = g.causal ? t + 1 : g.tokens;
    bool attends = false;
    for (std::int64_t from = 0; from < seen; ++from) {
      if (ids[from] == g.padding)
        scores[from] = std::numeric_limits<float>::lowest();
      else
        attends = true;
    }
    if (attends) vector.loss.softmax_forward(scores, 1, seen, scores);
    for (std::int64_t from = 0; from < g.tokens; ++from)
      if (!attends || from >= seen || ids[from] == g.padding) scores[from] = 0;
  }
}

}  // namespace

void CpuBackend::attention_forward(Stream& stream, const AttentionGeometry& g, const Tensor& qkv,
                                   const Tensor& ids, Tensor& probabilities, Tensor& y) {
  check_attention(g, qkv, "qkv", probabilities, y, "y");
  if (g.padding >= 0) cpu::check_shape(ids, {qkv.rows(), g.tokens}, "ids", DType::kInt64);
  const std::int64_t tokens = g.tokens, width = g.head_width;
  Workspace workspace(stream, Workspace::bytes_of<float>(width * tokens) + PlainRuns::bytes(width) +
                                  PlainRuns::bytes(tokens));
  float* const keys = workspace.take<float>(width * tokens);
  const PlainRuns over_width(workspace, width, 1), over_tokens(workspace, tokens, 1);
  for (std::int64_t i = 0; i < qkv.rows() * g.heads; ++i) {
    const std::int64_t sample = i / g.heads, head = i % g.heads;
    const Head in(g, qkv, sample, head);
    const Rows p = {probabilities.data<float>() + i * tokens * tokens, tokens};
    transpose(in.k, tokens, width, score_factor(g), keys);
    gemm_.multiply(product_of(in.q, false, {keys, tokens}, p, tokens, tokens, over_width));
    if (g.padding >= 0) {
      softmax_past_padding(g, ids.data<std::int64_t>() + sample * tokens, vector_, p.data);
    } else if (g.causal) {
      for (std::int64_t t = 0; t < tokens; ++t) {
        float* const row = p.data + t * tokens;
        vector_.loss.softmax_forward(row, 1, t + 1, row);
        vector_.elementwise.fill(0.0f, row + t + 1, tokens - t - 1);
      }
    } else {
      vector_.loss.softmax_forward(p.data, tokens, tokens, p.data);
    }
    gemm_.multiply(
        product_of(p, false, in.v, head_of(g, y, sample, head), tokens, width, over_tokens));
  }
}

// With P the probabilities: dV = Pᵀ dY, dP = dY Vᵀ, dS = P (dP - Σ P dP) / √width, dQ = dS K,
// dK = dSᵀ Q. A masked place has P = 0, hence dS = 0.
void CpuBackend::attention_backward(Stream& stream, const AttentionGeometry& g, const Tensor& qkv,
                                    const Tensor& probabilities, const Tensor& dy, Tensor& dqkv) {
  check_attention(g, qkv, "qkv", probabilities, dy, "dy");
  cpu::check_shape(dqkv, qkv.shape(), "dqkv");
  const std::int64_t tokens = g.tokens, width = g.head_width, scores = tokens * tokens;
  Workspace workspace(stream, Workspace::bytes_of<float>(width * tokens) +
                                  Workspace::bytes_of<float>(scores) + PlainRuns::bytes(width) +
                                  2 * PlainRuns::bytes(tokens));
  float* const values = workspace.take<float>(width * tokens);
  const Rows ds = {workspace.take<float>(scores), tokens};
  const PlainRuns over_width(workspace, width, 1), over_tokens(workspace, tokens, 1);
  const PlainRuns down_tokens(workspace, tokens, tokens);
  for (std::int64_t i = 0; i < qkv.rows() * g.heads; ++i) {
    const std::int64_t sample = i / g.heads, head = i % g.heads;
    const Head in(g, qkv, sample, head), out(g, dqkv, sample, head);
    const Rows p = {probabilities.data<float>() + i * scores, tokens};
    const Rows dout = head_of(g, dy, sample, head);
    gemm_.multiply(product_of(p, true, dout, out.v, tokens, width, down_tokens));
    transpose(in.v, tokens, width, 1.0f, values);
    gemm_.multiply(product_of(dout, false, {values, tokens}, ds, tokens, tokens, over_width));
    vector_.loss.softmax_backward(p.data, ds.data, tokens, tokens, ds.data);
    vector_.elementwise.scale(score_factor(g), ds.data, scores);
    gemm_.multiply(product_of(ds, false, in.k, out.q, tokens, width, over_tokens));
    gemm_.multiply(product_of(ds, true, in.q, out.k, tokens, width, down_tokens));
  }
}

}  // namespace lockstep
