// A step's numbers in the device's memory: totals over shards, norms, clipping, and whether the
// step may be taken.
#include "kernels/core/step_record.h"

#include "kernels/cuda/checks.h"
#include "kernels/cuda/map.h"
#include "kernels/cuda/update.h"

namespace lockstep {

namespace gpu {
namespace {

constexpr int kNumbers = StepRecord::kNumbers;
// Places behind the totals.
constexpr int kNorm = kNumbers, kFactor = kNumbers + 1, kOpen = kNumbers + 2, kHead = kNumbers + 4;
constexpr unsigned kThreads = 1024;

// isfinite() is a macro here and a function there.
__device__ __forceinline__ bool is_finite(double x) {
  return x - x == 0;
}

__global__ void put_kernel(const double* sums, double scale, double rows, double* shard) {
  const int place = static_cast<int>(threadIdx.x);
  if (place >= kNumbers) return;
  double value = 0;
  if (sums != nullptr) {
    if (place == 0) value = scale * sums[0];
    if (place == 1) value = sums[1];
    if (place == 2) value = rows;
    if (place > 2 && place < 7) value = sums[place - 1];
  }
  shard[place] = value;
}

// The balanced tree of runtime/step/tree.h: neighbours are joined level by level, and one without a
// neighbour waits. `stride` lies between values; all threads of the block call it.
__device__ __forceinline__ double tree_of_block(const double* values, std::int64_t count,
                                                std::int64_t stride, double* sums) {
  std::int64_t chunk = 1;  // neighbours that a thread adds up: a whole subtree, but for the last
  while (chunk * kThreads < count) chunk *= 2;
  const std::int64_t first = threadIdx.x * chunk;
  const std::int64_t own = count - first < chunk ? count - first : chunk;
  if (own > 0) {
    double stack[48];
    int height = 0;
    for (std::int64_t i = 0; i < own; ++i) {
      double top = values[(first + i) * stride];
      for (std::int64_t joins = i + 1; joins % 2 == 0; joins /= 2) top = stack[--height] + top;
      stack[height++] = top;
    }
    double total = stack[--height];
    while (height > 0) total = stack[--height] + total;
    sums[threadIdx.x] = total;
  }
  const std::int64_t parts = (count + chunk - 1) / chunk;
  for (std::int64_t reach = 1; reach < parts; reach *= 2) {
    __syncthreads();
    const std::int64_t left = threadIdx.x * 2 * reach;
    if (left + reach < parts) sums[left] = sums[left] + sums[left + reach];
  }
  __syncthreads();
  return sums[0];
}

// A block for each number.
__global__ void __launch_bounds__(kThreads)
    total_kernel(const double* shards, std::int64_t count, double* head) {
  LOCKSTEP_SHARED(double[kThreads], sums);
  const double total = tree_of_block(shards + blockIdx.x, count, kNumbers, sums);
  if (threadIdx.x == 0) head[blockIdx.x] = total;
}

__global__ void judge_totals_kernel(double* head) {
  if (threadIdx.x == 0 && !(is_finite(head[0]) && head[1] > 0)) head[kOpen] = 0;
}

__global__ void __launch_bounds__(kThreads)
    judge_norms_kernel(const double* norms, std::int64_t count, double* head) {
  int bad = 0;
  for (std::int64_t i = threadIdx.x; i < count; i += kThreads) bad |= is_finite(norms[i]) ? 0 : 1;
  bad = __syncthreads_or(bad);
  if (threadIdx.x == 0 && bad != 0) head[kOpen] = 0;
}

__global__ void __launch_bounds__(kThreads)
    clip_kernel(const double* norms, std::int64_t count, double limit, double* head) {
  LOCKSTEP_SHARED(double[kThreads], sums);
  const double total = count > 0 ? tree_of_block(norms, count, 1, sums) : 0;
  if (threadIdx.x != 0) return;
  const double norm = sqrt(total), factor = limit / (norm + 1e-6);
  head[kNorm] = norm;
  head[kFactor] = factor < 1 ? factor : 1;
}

struct ScaleBy {
  const double* factor;
  __device__ void operator()(float& x) const { x *= static_cast<float>(*factor); }
};

class CudaStepRecord final : public StepRecord {
 public:
  CudaStepRecord(Device& device, std::int64_t shards, std::int64_t blocks)
      : shards_(shards),
        head_(device.zeros({kHead + shards * kNumbers}, DType::kFloat64)),
        norms_(device.zeros({blocks}, DType::kFloat64)),
        host_(device.empty_pinned(head_.shape(), DType::kFloat64)) {
    auto* const host = host_.data<double>();
    std::fill_n(host, host_.elements(), 0.0);
    host[kFactor] = host[kOpen] = 1;
    device.copy(host_, head_);
  }

  void put(Stream& stream, std::int64_t shard, const Tensor& sums, double scale,
           double rows) override {
    LOCKSTEP_CHECK(0 <= shard && shard < shards_, "shard {} of {}", shard, shards_);
    if (sums.defined()) check_count(sums, kSums, "sums", DType::kFloat64);
    launch(raw(stream), {.name = "step_record", .grid = {1}, .block = {kWarp}}, put_kernel,
           optional_data<double>(sums), scale, rows, head() + kHead + shard * kNumbers);
  }

  void add_up(Stream& stream) override {
    launch(raw(stream), {.name = "step_record", .grid = {kNumbers - 1}, .block = {kThreads}},
           total_kernel, head() + kHead, shards_, head());
    launch(raw(stream), {.name = "step_record", .grid = {1}, .block = {kWarp}}, judge_totals_kernel,
           head());
  }

  void mean(Stream& stream, std::span<const TreeNode> nodes, Total divisor, Tensor& y) override {
    tree_sum(stream, nodes, 1.0f, head() + static_cast<int>(divisor), y);
  }

  const Tensor& norms() const override { return norms_; }

  void judge(Stream& stream, std::int64_t begin, std::int64_t end) override {
    if (begin >= end) return;
    launch(raw(stream), {.name = "step_record", .grid = {1}, .block = {kThreads}},
           judge_norms_kernel, norms_.data<double>() + begin, end - begin, head());
  }

  void clip(Stream& stream, std::int64_t blocks, double limit) override {
    launch(raw(stream), {.name = "step_record", .grid = {1}, .block = {kThreads}}, clip_kernel,
           norms_.data<double>(), blocks, limit, head());
  }

  void scale(Stream& stream, Tensor& gradient) override {
    check_type(gradient, DType::kFloat32, "gradient");
    map_elements(raw(stream), "step_record", gradient.elements(), ScaleBy{head() + kFactor},
                 in_out(gradient.data<float>()));
  }

  void guard(Stream& stream, bool lasts) override {
    cuda_stream(stream).set_guard(lasts ? head() + kOpen : nullptr);
  }

  const Outcome& read(Stream& stream) override {
    copy_async(host_.raw(), head_.raw(), head_.bytes(), raw(stream));
    stream.synchronize();
    const auto* const host = host_.data<double>();
    std::copy_n(host, kNumbers, outcome_.total.begin());
    outcome_.norm = host[kNorm];
    outcome_.factor = host[kFactor];
    outcome_.open = host[kOpen] != 0;
    outcome_.shards = {host + kHead, static_cast<std::size_t>(shards_ * kNumbers)};
    return outcome_;
  }

 private:
  double* head() const { return head_.data<double>(); }

  std::int64_t shards_;
  Tensor head_;  // kHead numbers of the step, then kNumbers of each shard
  Tensor norms_, host_;
  Outcome outcome_;
};

}  // namespace
}  // namespace gpu

std::unique_ptr<StepRecord> CudaBackend::make_step_record(std::int64_t shards,
                                                          std::int64_t blocks) {
  return std::make_unique<gpu::CudaStepRecord>(*this, shards, blocks);
}

}  // namespace lockstep
