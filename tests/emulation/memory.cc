// The emulated GPU's memory: the host's, each allocation exactly as long as it was asked for, so
// that the address sanitizer sees what lies beyond its end. It holds NaN until it is written.
#include <cstdlib>
#include <cstring>

#include "kernels/core/error.h"
#include "kernels/cuda/gpu.h"
#include "tests/emulation/streams.h"

namespace lockstep {

namespace gpu {

bool memory_is_host() {
  return true;
}

void* allocate(std::size_t bytes) {
  constexpr std::size_t kAlignment = 256;
  void* memory = nullptr;
  if (posix_memalign(&memory, kAlignment, bytes) != 0)
    throw Error("out of memory: {} bytes of the emulated GPU's", bytes);
  if (bytes > 0) std::memset(memory, 0xFF, bytes);
  return memory;
}

void* allocate_pinned(std::size_t bytes) {
  return allocate(bytes);
}

void free_memory(void* memory) noexcept {
  if (memory == nullptr) return;
  try {
    emulation::finish_all();  // as cudaFree waits for the device
  } catch (const Error&) {
    // The kernel's failure is sticky: the next call reports it.
  }
  std::free(memory);
}

void free_pinned(void* memory) noexcept {
  free_memory(memory);
}

void copy(void* to, const void* from, std::size_t bytes) {
  emulation::finish_all();
  if (bytes > 0) std::memmove(to, from, bytes);
}

void copy_async(void* to, const void* from, std::size_t bytes, RawStream stream) {
  emulation::enqueue(stream, "copy", [=] {
    if (bytes > 0) std::memmove(to, from, bytes);
  });
}

void set_bytes(void* to, std::uint8_t value, std::size_t bytes, RawStream stream) {
  emulation::enqueue(stream, "set_bytes", [=] {
    if (bytes > 0) std::memset(to, value, bytes);
  });
}

}  // namespace gpu

}  // namespace lockstep
