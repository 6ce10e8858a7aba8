// Device memory that is the host's, each allocation exactly as long as it was asked for.
#include <cstdlib>

#include "kernels/core/error.h"
#include "tests/emulation/device_memory.h"

namespace lockstep::emulation {

bool device_memory_is_host() {
  return true;
}

void* allocate_device(std::size_t bytes) {
  void* memory = nullptr;
  if (posix_memalign(&memory, kMemoryAlignment, bytes) != 0)
    throw Error("out of memory: {} bytes of the emulated GPU's", bytes);
  return memory;
}

void free_device(void* memory) noexcept {
  std::free(memory);
}

DeviceMemoryAccess::DeviceMemoryAccess() {}
DeviceMemoryAccess::~DeviceMemoryAccess() {}

}  // namespace lockstep::emulation
