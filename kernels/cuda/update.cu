// A step's reduction on flat slices: the tree over the shards' gradients, squared norms by block,
// penalties, running statistics.
#include <vector>

#include "kernels/cuda/checks.h"
#include "kernels/cuda/guarded.h"
#include "kernels/cuda/map.h"
#include "kernels/cuda/update.h"

namespace lockstep {

namespace gpu {
namespace {

constexpr int kMostNodes = 128, kMostDepth = 16, kQuad = 4;
constexpr unsigned kThreads = 256;

// What the binary counter does, which is the same for every element: after node i the two topmost
// sums are joined joins[i] times.
struct Tree {
  const float* nodes[kMostNodes];
  std::uint8_t joins[kMostNodes];
  int count = 0;
};

__global__ void __launch_bounds__(kThreads)
    tree_sum_kernel(Tree tree, float divisor, const double* divisor_there, float* y, std::int64_t n,
                    bool aligned) {
  const std::int64_t at = thread_number() * kQuad;
  if (at >= n) return;
  const std::int64_t count = n - at < kQuad ? n - at : kQuad;
  const bool whole = aligned && count == kQuad;
  if (divisor_there != nullptr) divisor = static_cast<float>(*divisor_there);
  float stack[kMostDepth][kQuad], top[kQuad] = {};
  int height = 0;
  for (int node = 0; node < tree.count; ++node) {
    load_some<kQuad>(tree.nodes[node] + at, count, whole, top);
    for (int join = 0; join < tree.joins[node]; ++join) {
      --height;
#pragma unroll
      for (int i = 0; i < kQuad; ++i) top[i] = stack[height][i] + top[i];
    }
#pragma unroll
    for (int i = 0; i < kQuad; ++i) stack[height][i] = top[i];
    ++height;
  }
#pragma unroll
  for (int i = 0; i < kQuad; ++i) top[i] /= divisor;
  store_some<kQuad>(y + at, count, whole, top);
}

Tree tree_of(std::span<const TreeNode> nodes, std::int64_t elements) {
  LOCKSTEP_CHECK(!nodes.empty() && nodes.size() <= kMostNodes,
                 "a tree sum of {} nodes; 1 to {} are possible", nodes.size(), kMostNodes);
  Tree tree;
  std::vector<std::int64_t> stack;  // shards of the sums on it
  std::int64_t leaves = 0;
  for (const TreeNode& node : nodes) {
    LOCKSTEP_CHECK(node.shards > 0 && leaves % node.shards == 0,
                   "a node of {} shards after {} leaves is no subtree", node.shards, leaves);
    check_count(node.sum, elements, "a node");
    tree.nodes[tree.count] = node.sum.data<float>();
    leaves += node.shards;
    stack.push_back(node.shards);
    std::uint8_t joined = 0;
    while (stack.size() > 1 && stack.back() == stack[stack.size() - 2] &&
           leaves % (2 * stack.back()) == 0) {
      stack.pop_back();
      stack.back() *= 2;
      ++joined;
    }
    tree.joins[tree.count++] = joined;
    LOCKSTEP_CHECK(stack.size() <= kMostDepth, "a tree of more than 2^{} shards", kMostDepth);
  }
  LOCKSTEP_CHECK(stack.size() == 1, "{} leaves are no power of two", leaves);
  return tree;
}

// A block of threads for a block of elements.
__global__ void __launch_bounds__(kThreads)
    squared_norms_kernel(const float* x, std::int64_t n, double* out, bool aligned) {
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kBlockElements;
  const std::int64_t end = n - first < kBlockElements ? n - first : kBlockElements;
  double sum = 0;
  for (std::int64_t at = threadIdx.x * kQuad; at < end; at += kThreads * kQuad) {
    float values[kQuad];
    const std::int64_t count = end - at < kQuad ? end - at : kQuad;
    load_some<kQuad>(x + first + at, count, aligned && count == kQuad, values);
#pragma unroll
    for (int i = 0; i < kQuad; ++i) {
      const double value = values[i];
      sum = fma(value, value, sum);
    }
  }
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

struct AddPenalty {
  float l1, l2;
  __device__ void operator()(float value, float& gradient) const {
    const float pull = value == 0.0f ? 0.0f : copysignf(l1, value);
    gradient += fmaf(l2, value, pull);
  }
};

struct RunningAverage {
  float fresh, keep;
  __device__ void operator()(float mean, float& value) const {
    value = fmaf(fresh, mean, keep * value);
  }
};

}  // namespace

void tree_sum(Stream& stream, std::span<const TreeNode> nodes, float divisor,
              const double* divisor_there, Tensor& y) {
  check_type(y, DType::kFloat32, "y");
  const std::int64_t n = y.elements();
  const Tree tree = tree_of(nodes, n);
  if (n == 0) return;
  bool aligned = all_aligned<kQuad, float>({&y});
  for (const TreeNode& node : nodes) aligned = aligned && all_aligned<kQuad, float>({&node.sum});
  const Launch what{
      .name = "tree_sum", .grid = {blocks_for(n, kQuad * kThreads)}, .block = {kThreads}};
  launch(raw(stream), what, tree_sum_kernel, tree, divisor, divisor_there, y.data<float>(), n,
         aligned);
}

}  // namespace gpu

void CudaBackend::tree_sum(Stream& stream, std::span<const TreeNode> nodes, float divisor,
                           Tensor& y) {
  gpu::tree_sum(stream, nodes, divisor, nullptr, y);
}

void CudaBackend::squared_norms(Stream& stream, const Tensor& x, Tensor& out) {
  gpu::check_type(x, DType::kFloat32, "x");
  const std::int64_t n = x.elements(), blocks = (n + kBlockElements - 1) / kBlockElements;
  gpu::check_count(out, blocks, "out", DType::kFloat64);
  if (n == 0) return;
  const gpu::Launch launch{
      .name = "squared_norms", .grid = {static_cast<unsigned>(blocks)}, .block = {gpu::kThreads}};
  gpu::launch(gpu::raw(stream), launch, gpu::squared_norms_kernel, x.data<float>(), n,
              out.data<double>(), gpu::all_aligned<gpu::kQuad, float>({&x}));
}

void CudaBackend::add_penalty(Stream& stream, const PenaltyOptions& options, const Tensor& value,
                              Tensor& gradient) {
  gpu::check_type(value, DType::kFloat32, "value");
  gpu::check_count(gradient, value.elements(), "gradient");
  gpu::map_elements(gpu::raw(stream), "add_penalty", value.elements(),
                    gpu::AddPenalty{options.l1, options.l2}, gpu::in(value.data<float>()),
                    gpu::in_out(gradient.data<float>()));
}

void CudaBackend::running_average(Stream& stream, float momentum, const Tensor& mean,
                                  Tensor& value) {
  gpu::check_count(mean, value.elements(), "mean");
  gpu::check_type(value, DType::kFloat32, "value");
  gpu::map_guarded(stream, "running_average", value.elements(),
                   gpu::RunningAverage{momentum, 1.0f - momentum}, gpu::in(mean.data<float>()),
                   gpu::in_out(value.data<float>()));
}

}  // namespace lockstep
