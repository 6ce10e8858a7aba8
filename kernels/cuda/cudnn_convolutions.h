// Convolutions by cuDNN: a plan for every question that is asked, built when it is first asked.
#pragma once

#include <map>
#include <mutex>

#include "kernels/cuda/cudnn_plan.h"

namespace lockstep::gpu {

class CudnnConvolutions {
 public:
  CudnnConvolutions(Float32Products products, PlanBook& book);
  ~CudnnConvolutions();
  CudnnConvolutions(const CudnnConvolutions&) = delete;
  CudnnConvolutions& operator=(const CudnnConvolutions&) = delete;

  // x, w, y are inputs and output in a forward pass; in the others the gradients take their places.
  void run(CudaStream& stream, ConvPass pass, const Convolution& convolution, const void* x,
           const void* w, const void* y, const float* bias = nullptr);

 private:
  const ConvPlan& planned(const ConvQuestion& question);

  const Float32Products products_;
  PlanBook& book_;
  cudnnHandle_t handle_ = nullptr;
  std::mutex mutex_;  // a handle serves one thread at a time
  std::map<ConvQuestion::Key, ConvPlan> plans_;
};

}  // namespace lockstep::gpu
