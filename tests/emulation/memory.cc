// The emulated GPU's memory and copies. Memory holds NaN until it is written.
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "kernels/core/error.h"
#include "kernels/cuda/gpu.h"
#include "tests/emulation/device_memory.h"
#include "tests/emulation/injected_faults.h"
#include "tests/emulation/streams.h"

namespace lockstep {

namespace {

// How many pieces of memory a process has asked for: its last line of errors at the end, where
// EMULATION_COUNT_ALLOCATIONS is set.
struct Allocations {
  std::atomic<std::int64_t> count{0};
  ~Allocations() {
    if (std::getenv("EMULATION_COUNT_ALLOCATIONS") != nullptr)
      fmt::print(stderr, "allocations: {}\n", count.load());
  }
} allocations;

}  // namespace

namespace gpu {

namespace {

// As freeing waits for the device.
void finish_work() noexcept {
  try {
    emulation::finish_all();
  } catch (const Error&) {
    // The kernel's failure is sticky: the next call reports it.
  }
}

}  // namespace

bool memory_is_host() {
  return emulation::device_memory_is_host();
}

void* allocate(std::size_t bytes) {
  emulation::begin_allocation(bytes);
  ++allocations.count;
  void* const memory = emulation::allocate_device(bytes);
  const emulation::DeviceMemoryAccess access;
  if (bytes > 0) std::memset(memory, 0xFF, bytes);
  return memory;
}

void* allocate_pinned(std::size_t bytes) {
  ++allocations.count;
  void* memory = nullptr;
  if (posix_memalign(&memory, emulation::kMemoryAlignment, bytes) != 0)
    throw Error("out of memory: {} bytes of the host's", bytes);
  if (bytes > 0) std::memset(memory, 0xFF, bytes);
  return memory;
}

void free_memory(void* memory) noexcept {
  if (memory == nullptr) return;
  finish_work();
  emulation::free_device(memory);
}

void free_pinned(void* memory) noexcept {
  if (memory == nullptr) return;
  finish_work();
  std::free(memory);
}

void pin(void*, std::size_t) {}
void unpin(void*) noexcept {}

void copy(void* to, const void* from, std::size_t bytes) {
  emulation::finish_all();
  const emulation::DeviceMemoryAccess access;
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
