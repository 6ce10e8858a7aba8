// The plug-in's one entry point.
#include "kernels/cuda/devices.h"

namespace lockstep {

namespace {

class CudaLibrary final : public GpuLibrary {
 public:
  std::vector<LibraryVersion> versions() const override { return gpu::library_versions(); }
  VisibleGpus visible_gpus() const override { return gpu::visible_gpus(); }
  std::unique_ptr<Backend> make_backend(const GpuOptions& options) override {
    throw Error("GPU {}: the CUDA plug-in has no kernels", options.device);
  }
};

GpuLibrary& library() {
  static CudaLibrary library;
  return library;
}

}  // namespace

extern "C" const GpuPlugin* lockstep_cuda_plugin() {
  static const GpuPlugin plugin{gpu_plugin_abi(), library};
  return &plugin;
}

}  // namespace lockstep
