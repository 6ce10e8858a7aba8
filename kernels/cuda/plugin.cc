// The plug-in's one entry point.
#include "kernels/cuda/backend_impl.h"
#include "kernels/cuda/clock.h"
#include "kernels/cuda/devices.h"

namespace lockstep {

namespace {

class CudaLibrary final : public GpuLibrary {
 public:
  std::vector<LibraryVersion> versions() const override { return gpu::library_versions(); }
  VisibleGpus visible_gpus() const override { return gpu::visible_gpus(); }
  std::unique_ptr<Backend> make_backend(const GpuOptions& options) override {
    const std::vector<GpuInfo> gpus = gpu::visible_gpus().gpus;
    const auto place = static_cast<std::size_t>(options.device);
    LOCKSTEP_CHECK(place < gpus.size(), "GPU {} of {}", options.device, gpus.size());
    const GpuInfo& gpu = gpus[place];
    if (gpu.major < 8)
      throw Error(
          "GPU {} ({}, sm_{}{}) is too old: this build has kernels from sm_80 on, with which the "
          "precisions \"bfloat16\" and \"tf32\" begin",
          gpu.device, gpu.name, gpu.major, gpu.minor);
    gpu::use_device(gpu.device);  // before anything that would open another
    return make_cuda_backend(
        {gpu.device, gpu.name, gpu.major, gpu.minor},
        gpu::make_libraries(options.precision == GpuPrecision::kTf32
                                ? gpu::Float32Products::kTf32
                                : gpu::Float32Products::kStrict),
        options.precision == GpuPrecision::kBFloat16 ? DType::kBFloat16 : DType::kFloat32);
  }
  std::unique_ptr<GpuClock> make_clock() const override { return make_cuda_clock(); }
  std::vector<LibraryPlan> plans(Backend& backend) const override { return book(backend).plans(); }
  void take_plans(Backend& backend, const std::vector<LibraryPlan>& plans) const override {
    book(backend).take(plans);
  }
  std::unique_ptr<Backend> rehearsal(Backend& backend) const override {
    return std::make_unique<CudaBackend>(ours(backend));
  }
  MemoryReport memory(Backend& backend) const override { return ours(backend).arena().report(); }
  void reserve(Backend& backend, const MemoryPlan& plan) const override {
    ours(backend).arena().reserve(plan);
  }

 private:
  static CudaBackend& ours(Backend& backend) { return static_cast<CudaBackend&>(backend); }
  static gpu::PlanBook& book(Backend& backend) { return ours(backend).plans(); }
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
