#include "kernels/gpu/gpu_library.h"

#include <fmt/ranges.h>

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
  const PluginSymbol symbol = load_plugin(places, kGpuPluginEntry);
  LoadedGpuLibrary result;
  if (!symbol.exists) {
    result.why_not = not_built.empty()
                         ? fmt::format("the CUDA plug-in was not found at {}; install it again",
                                       fmt::join(places, " or "))
                         : fmt::format("this build has no CUDA plug-in ({})", not_built);
    return result;
  }
  result.file = symbol.file;
  if (symbol.address == nullptr) {
    result.why_not = fmt::format("{} could not be loaded: {}", symbol.file, symbol.why_not);
    return result;
  }
  const GpuPlugin* const plugin = reinterpret_cast<GpuPluginEntry>(symbol.address)();
  if (std::string_view(plugin->abi) != kAbiStamp)
    result.why_not = fmt::format(
        "{} belongs to another build of lockstep (its stamp is {}, this program's {}); install "
        "both from one build",
        symbol.file, plugin->abi, kAbiStamp);
  else
    result.library = &plugin->library();
  return result;
}

}  // namespace lockstep
