#include "launch/version.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/gpu/gpu_library.h"
#include "runtime/communication/nccl_library.h"
#include "runtime/communication/world.h"
#include "runtime/run/version.h"

namespace lockstep {

std::string version_text() {
  return fmt::format("lockstep {} ({}; {}; HDF5 {})", kVersion, kBuild, World::library_version(),
                     LOCKSTEP_HDF5_VERSION);
}

namespace {

// "x" where the row's GPU addresses the column's memory.
std::string peer_table(const std::vector<GpuInfo>& gpus) {
  std::string text = "memory that GPUs reach directly:\n     ";
  for (const GpuInfo& gpu : gpus) text += fmt::format("{:3}", gpu.device);
  for (const GpuInfo& gpu : gpus) {
    text += fmt::format("\n  {:3}", gpu.device);
    for (const GpuInfo& other : gpus) {
      const bool reaches = std::ranges::count(gpu.peers, other.device) > 0;
      text += gpu.device == other.device ? "  -" : reaches ? "  x" : "  .";
    }
  }
  return text + "\n";
}

std::string nccl_text() {
  const LoadedNcclLibrary loaded = load_nccl_library();
  if (loaded.library == nullptr) return fmt::format("NCCL plug-in: none, {}\n", loaded.why_not);
  return fmt::format("NCCL plug-in: {}\n  NCCL: {}\n", loaded.file, loaded.library->version());
}

std::string gpu_text() {
  const LoadedGpuLibrary loaded = load_gpu_library();
  if (loaded.library == nullptr) return fmt::format("CUDA plug-in: none, {}\n", loaded.why_not);
  std::string text = fmt::format("CUDA plug-in: {}\n", loaded.file);
  for (const LibraryVersion& library : loaded.library->versions())
    text += fmt::format("  {}: {}\n", library.name, library.version);
  text += nccl_text();
  const VisibleGpus visible = loaded.library->visible_gpus();
  if (visible.gpus.empty()) return text + fmt::format("GPUs: none, {}\n", visible.why_none);
  for (const GpuInfo& gpu : visible.gpus)
    text += fmt::format("GPU {}: {}, {}, sm_{}{}, {:.0f} GiB, at {}\n", gpu.device, gpu.name,
                        gpu.uuid, gpu.major, gpu.minor,
                        static_cast<double>(gpu.memory_bytes) / (1 << 30), gpu.pci_address);
  return text + (visible.gpus.size() > 1 ? peer_table(visible.gpus) : "");
}

}  // namespace

std::string verbose_version_text() {
  std::string text = version_text() + "\n" + gpu_text();
  text.pop_back();  // whoever prints it ends the line
  return text;
}

}  // namespace lockstep
