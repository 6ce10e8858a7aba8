#include "kernels/gpu/gpu_library.h"

#include "abi_stamp.h"
#include "kernels/core/plugin.h"

namespace lockstep {

const char* gpu_plugin_abi() {
  return kAbiStamp;
}

LoadedGpuLibrary load_gpu_library() {
  return load_gpu_library(plugin_places(kGpuPluginFile), LOCKSTEP_CUDA_NOT_BUILT);
}

LoadedGpuLibrary load_gpu_library(const std::vector<std::string>& places,
                                  const std::string& not_built) {
  const PluginTable opened = open_plugin({.name = "CUDA plug-in",
                                          .entry = kGpuPluginEntry,
                                          .abi = kAbiStamp,
                                          .not_built = not_built,
                                          .places = places});
  LoadedGpuLibrary result{nullptr, opened.file, opened.why_not};
  if (opened.table != nullptr)
    result.library = &static_cast<const GpuPlugin*>(opened.table)->library();
  return result;
}

}  // namespace lockstep
