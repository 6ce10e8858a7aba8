// Prints cuDNN's description of GPU 0 (or of the GPU of the given number) as JSON: with it plans
// can be made where there is no such GPU (plans_test.cc and h200.json). Exit code 77: there is no
// GPU.
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstdlib>

#include "kernels/core/error.h"
#include "kernels/cuda/cudnn_descriptor.h"

int main(int count, char** words) {
  try {
    int gpus = 0;
    const cudaError_t status = cudaGetDeviceCount(&gpus);
    const std::int64_t device = count > 1 ? std::atoll(words[1]) : 0;
    if (status != cudaSuccess || device >= gpus) {
      std::fprintf(stderr, "describe_gpu: no GPU %lld: %s\n", static_cast<long long>(device),
                   status != cudaSuccess ? cudaGetErrorString(status) : "there are fewer");
      return 77;
    }
    lockstep::gpu::CudnnDescriptor description(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
    const auto id = static_cast<std::int32_t>(device);
    description.set(CUDNN_ATTR_DEVICEPROP_DEVICE_ID, CUDNN_TYPE_INT32, 1, &id);
    description.finalize("the description of a GPU");
    std::puts(description.get_text(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION).c_str());
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "describe_gpu: %s\n", error.what());
    return 1;
  }
}
