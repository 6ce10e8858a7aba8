#include "kernels/cuda/cudnn_convolutions.h"

#include "kernels/cuda/channel_bias.h"

namespace lockstep::gpu {

CudnnConvolutions::CudnnConvolutions(Float32Products products, PlanBook& book)
    : products_(products), book_(book) {
  check_cudnn(cudnnCreate(&handle_), "a handle");
}

CudnnConvolutions::~CudnnConvolutions() {
  plans_.clear();
  cudnnDestroy(handle_);
}

const ConvPlan& CudnnConvolutions::planned(const ConvQuestion& question) {
  const auto found = plans_.find(question.key());
  if (found != plans_.end()) return found->second;
  const std::string text = "cuDNN: " + question.text();
  ConvPlan plan(question, PlanTarget(handle_), book_.choice(text));
  book_.note(text, plan.choice());
  return plans_.emplace(question.key(), std::move(plan)).first->second;
}

void CudnnConvolutions::run(CudaStream& stream, ConvPass pass, const Convolution& convolution,
                            const void* x, const void* w, const void* y, const float* bias) {
  // In a rehearsal, too, the plan is made and its workspace taken.
  // cuDNN adds a float32 bias to float32 sums alone.
  const bool fused = bias != nullptr && convolution.type == DType::kFloat32;
  void* const tensors[] = {const_cast<void*>(x), const_cast<void*>(w), const_cast<void*>(y),
                           const_cast<float*>(bias)};
  {
    const std::lock_guard lock(mutex_);
    const ConvPlan& plan = planned({fused ? ConvPass::kForwardBias : pass, convolution, products_});
    const std::size_t bytes = plan.workspace_bytes();
    std::byte* const workspace = bytes > 0 ? stream.workspace(bytes) : nullptr;
    if (stream.rehearses()) return;
    check_cudnn(cudnnSetStream(handle_, stream.raw()), "a stream");
    plan.run(handle_, std::span(tensors, fused ? 4 : 3), workspace);
  }
  if (bias != nullptr && !fused) {
    const ConvGeometry& g = convolution.geometry;
    add_channel_bias(stream.raw(), convolution.images * g.out_h() * g.out_w() * g.out_c, g.out_c,
                     bias, const_cast<void*>(y));
  }
}

}  // namespace lockstep::gpu
