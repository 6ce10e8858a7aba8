// The emulated GPU's memory and copies. Memory holds NaN until it is written. EMULATED_MEMORY is
// its size in bytes, 1 GiB where it is not set. Into the file that EMULATED_COUNTS names, a process
// writes at its end how often it allocated and freed memory of the GPU's, and after how much of the
// GPU's work it allocated last: "device 12 12, last after 456".
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <string>

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

std::size_t memory_in_all() {
  const char* const bytes = std::getenv("EMULATED_MEMORY");
  return bytes != nullptr ? std::stoull(bytes) : std::size_t{1} << 30;
}

// Of this process's allocations, which no other process's lessen.
class Account {
 public:
  static Account& instance() {
    static Account account;
    return account;
  }
  ~Account() {
    if (const char* const file = std::getenv("EMULATED_COUNTS"))
      std::ofstream(file, std::ios::app)
          << fmt::format("device {} {}, last after {}\n", allocated_, freed_, last_);
  }

  std::size_t free() {
    const std::lock_guard lock(mutex_);
    return limit_ - std::min(limit_, held_);
  }
  void add(const void* memory, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    ++allocated_;
    last_ = emulation::work_done();
    sizes_[memory] = bytes;
    held_ += bytes;
  }
  void remove(const void* memory) {
    const std::lock_guard lock(mutex_);
    ++freed_;
    const auto found = sizes_.find(memory);
    held_ -= found->second;
    sizes_.erase(found);
  }

 private:
  std::mutex mutex_;
  const std::size_t limit_ = memory_in_all();
  std::size_t held_ = 0;
  std::map<const void*, std::size_t> sizes_;
  std::int64_t allocated_ = 0, freed_ = 0, last_ = 0;
};

}  // namespace

bool memory_is_host() {
  return emulation::device_memory_is_host();
}

MemoryInfo memory_info() {
  return {Account::instance().free(), memory_in_all()};
}

void finish() noexcept {
  finish_work();
}

void* allocate(std::size_t bytes) {
  emulation::begin_allocation(bytes);
  ++allocations.count;
  if (bytes > Account::instance().free())
    throw NoMemory("{} bytes of the emulated GPU's are not there", bytes);
  void* const memory = emulation::allocate_device(bytes);
  Account::instance().add(memory, bytes);
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
  Account::instance().remove(memory);
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
