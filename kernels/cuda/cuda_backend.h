// The CUDA back end's entry: a Backend over one GPU.
#pragma once

#include <memory>
#include <string>

#include "kernels/backend.h"

namespace lockstep {

namespace gpu {
class Libraries;
}

struct CudaDevice {
  int index = 0;             // as the CUDA runtime counts the devices that the process may see
  std::string name;          // "NVIDIA H200"
  int major = 0, minor = 0;  // compute capability
};

// Makes the device the calling thread's. activation_type: what Backend says of it.
std::unique_ptr<Backend> make_cuda_backend(const CudaDevice& device,
                                           std::unique_ptr<gpu::Libraries> libraries,
                                           DType activation_type = DType::kFloat32);

}  // namespace lockstep
