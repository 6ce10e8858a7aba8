// A plug-in of which tests want no more than that it loads: of this build, or with the stamp of
// another (LOCKSTEP_FAKE_ABI).
#include "kernels/gpu/gpu_library.h"

namespace lockstep {

namespace {

class FakeGpuLibrary final : public GpuLibrary {
 public:
  std::vector<LibraryVersion> versions() const override { return {{"fake", "1.0"}}; }
  VisibleGpus visible_gpus() const override { return {{}, "the fake driver finds no GPU"}; }
  std::unique_ptr<Backend> make_backend(const GpuOptions& options) override {
    throw Error("the fake GPU {} computes nothing", options.device);
  }
  std::unique_ptr<GpuClock> make_clock() const override {
    throw Error(std::string("the fake GPU has no clock"));
  }
  std::vector<LibraryPlan> plans(Backend&) const override { return {}; }
  void take_plans(Backend&, const std::vector<LibraryPlan>&) const override {}
  std::unique_ptr<Backend> rehearsal(Backend&) const override { return nullptr; }
  MemoryReport memory(Backend&) const override { return {}; }
  void reserve(Backend&, const MemoryPlan&) const override {}
};

GpuLibrary& library() {
  static FakeGpuLibrary library;
  return library;
}

}  // namespace

extern "C" const GpuPlugin* lockstep_cuda_plugin() {
#ifdef LOCKSTEP_FAKE_ABI
  static const GpuPlugin plugin{LOCKSTEP_FAKE_ABI, library};
#else
  static const GpuPlugin plugin{gpu_plugin_abi(), library};
#endif
  return &plugin;
}

}  // namespace lockstep
