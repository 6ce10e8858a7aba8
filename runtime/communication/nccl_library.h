// The NCCL plug-in as the program sees it. liblockstep_nccl.so (nccl/) holds all that knows of
// NCCL; the program loads it where ranks compute on GPUs of their own, and speaks to it through
// this interface alone. The plug-in makes no call of MPI: what its ranks must tell each other
// before they are linked, the program carries.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/communication/device_link.h"

namespace lockstep {

struct NcclOptions {
  int rank = 0, ranks = 1;
  std::string id;                 // of NcclLibrary::make_id() on one of the ranks
  double patience_seconds = 300;  // for the ranks to meet, and for NCCL to take what is queued
};

class NcclLibrary {
 public:
  virtual ~NcclLibrary() = default;
  virtual std::string version() const = 0;  // "2.28.9". Needs no GPU.
  virtual std::string make_id() = 0;        // what one set of ranks finds each other by
  // A collective, on the GPU that the calling thread uses. Throws Error.
  virtual std::unique_ptr<DeviceLink> make_link(const NcclOptions& options) = 0;
};

// What the plug-in's one C function returns. The place of `abi` never changes, and the rest is
// looked at only where `abi` is the reader's own stamp.
struct NcclPlugin {
  const char* abi;
  NcclLibrary& (*library)();
};
using NcclPluginEntry = const NcclPlugin* (*)();
inline constexpr const char* kNcclPluginEntry = "lockstep_nccl_plugin";
inline constexpr const char* kNcclPluginFile = "liblockstep_nccl.so";

// A stamp of the version and of every header through which the program and this plug-in meet.
const char* nccl_plugin_abi();

struct LoadedNcclLibrary {
  NcclLibrary* library = nullptr;  // never unloaded
  std::string file;                // that was loaded, where there is one
  std::string why_not;             // one line, where library is null
};

LoadedNcclLibrary load_nccl_library();  // the one that comes with the program
// From the first of these places. `not_built`: why this build made no plug-in, or empty.
LoadedNcclLibrary load_nccl_library(const std::vector<std::string>& places,
                                    const std::string& not_built);

}  // namespace lockstep
