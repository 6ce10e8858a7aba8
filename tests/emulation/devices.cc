// The GPUs that the emulation says there are: one, or those whose UUIDs EMULATED_GPUS lists, with
// commas between them ("" for none). They share the host's memory. EMULATED_LIBRARIES is the
// version that their libraries are said to have. EMULATED_SM is their compute capability, 90 where
// it is not set.
#include "kernels/cuda/devices.h"

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "kernels/core/error.h"
#include "kernels/cuda/gpu.h"

namespace lockstep::gpu {

VisibleGpus visible_gpus() {
  const char* const listed = std::getenv("EMULATED_GPUS");
  const char* const sm = std::getenv("EMULATED_SM");
  const int capability = sm != nullptr ? std::atoi(sm) : 90;
  std::istringstream uuids(listed != nullptr ? listed : "GPU-emulated");
  VisibleGpus result;
  for (std::string uuid; std::getline(uuids, uuid, ',');) {
    GpuInfo info;
    info.device = static_cast<int>(result.gpus.size());
    info.name = "emulated GPU";
    info.uuid = uuid;
    info.major = capability / 10;
    info.minor = capability % 10;
    info.pci_address = fmt::format("0000:{:02x}:00.0", info.device + 1);
    info.memory_bytes = std::size_t{1} << 30;
    result.gpus.push_back(info);
  }
  for (GpuInfo& gpu : result.gpus)
    for (const GpuInfo& peer : result.gpus)
      if (peer.device != gpu.device) gpu.peers.push_back(peer.device);
  if (result.gpus.empty()) result.why_none = "no GPU is emulated: EMULATED_GPUS is empty";
  return result;
}

std::vector<LibraryVersion> library_versions() {
  const char* const version = std::getenv("EMULATED_LIBRARIES");
  return {{"NVIDIA driver", "none, the GPUs are emulated"},
          {"loops", version != nullptr ? version : "1"}};
}

void use_device(int device) {
  const std::size_t count = visible_gpus().gpus.size();
  if (device < 0 || static_cast<std::size_t>(device) >= count)
    throw Error("the emulated GPU {} does not exist: there are {}", device, count);
}

}  // namespace lockstep::gpu
