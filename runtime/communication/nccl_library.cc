#include "runtime/communication/nccl_library.h"

#include "kernels/core/plugin.h"
#include "nccl_stamp.h"

namespace lockstep {

const char* nccl_plugin_abi() {
  return kNcclStamp;
}

LoadedNcclLibrary load_nccl_library() {
  return load_nccl_library(plugin_places(kNcclPluginFile), LOCKSTEP_NCCL_NOT_BUILT);
}

LoadedNcclLibrary load_nccl_library(const std::vector<std::string>& places,
                                    const std::string& not_built) {
  const PluginTable opened = open_plugin({.name = "NCCL plug-in",
                                          .entry = kNcclPluginEntry,
                                          .abi = kNcclStamp,
                                          .not_built = not_built,
                                          .places = places});
  LoadedNcclLibrary result{nullptr, opened.file, opened.why_not};
  if (opened.table != nullptr)
    result.library = &static_cast<const NcclPlugin*>(opened.table)->library();
  return result;
}

}  // namespace lockstep
