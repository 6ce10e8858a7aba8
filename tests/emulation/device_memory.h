// The emulated GPU's own memory, of which a program chooses one kind when it is linked:
//   exact_memory.cc    the host's, each allocation exactly as long as it was asked for, so that the
//                      address sanitizer sees what lies beyond its end
//   guarded_memory.cc  a region that the host cannot touch: it ends with a signal where it tries
#pragma once

#include <cstddef>

namespace lockstep::emulation {

inline constexpr std::size_t kMemoryAlignment = 256;

bool device_memory_is_host();
void* allocate_device(std::size_t bytes);
void free_device(void* memory) noexcept;

// While one lives, device memory can be read and written: kernels run, or a copy does.
class DeviceMemoryAccess {
 public:
  DeviceMemoryAccess();
  ~DeviceMemoryAccess();
  DeviceMemoryAccess(const DeviceMemoryAccess&) = delete;
  DeviceMemoryAccess& operator=(const DeviceMemoryAccess&) = delete;
};

}  // namespace lockstep::emulation
