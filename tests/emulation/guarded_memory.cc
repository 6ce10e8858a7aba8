// Device memory in one reserved region, whose pages are open only while the emulated GPU works.
// What has ever been allocated is opened and closed as a whole: two calls of the system.
#include <sys/mman.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "kernels/core/error.h"
#include "tests/emulation/device_memory.h"

namespace lockstep::emulation {

namespace {

constexpr std::size_t kReserved = std::size_t{1} << 36;  // of addresses; memory is taken by use
constexpr std::size_t kGrowth = std::size_t{1} << 20;

class Region {
 public:
  static Region& instance() {
    static Region* const region = new Region;  // streams may outlive every static object
    return *region;
  }

  // The first gap that is long enough: a step's allocations come to the same places every time.
  std::byte* allocate(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    bytes = std::max<std::size_t>(1, (bytes + kMemoryAlignment - 1) / kMemoryAlignment) *
            kMemoryAlignment;
    std::size_t begin = 0;
    for (const auto& [used, length] : used_) {
      if (used - begin >= bytes) break;
      begin = used + length;
    }
    if (begin + bytes > kReserved)
      throw Error("out of memory: {} bytes of the emulated GPU's", bytes);
    used_.emplace(begin, bytes);
    if (begin + bytes > end_) {
      end_ = (begin + bytes + kGrowth - 1) / kGrowth * kGrowth;
      if (accesses_ > 0) protect(PROT_READ | PROT_WRITE);
    }
    return base_ + begin;
  }

  void free(const std::byte* memory) {
    const std::lock_guard lock(mutex_);
    used_.erase(static_cast<std::size_t>(memory - base_));
  }

  void open() {
    const std::lock_guard lock(mutex_);
    if (accesses_++ == 0) protect(PROT_READ | PROT_WRITE);
  }
  void close() {
    const std::lock_guard lock(mutex_);
    if (--accesses_ == 0) protect(PROT_NONE);
  }

 private:
  Region() {
    void* const mapped =
        mmap(nullptr, kReserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) throw Error("{} bytes of addresses cannot be had", kReserved);
    base_ = static_cast<std::byte*>(mapped);
  }

  void protect(int protection) {
    if (end_ > 0 && mprotect(base_, end_, protection) != 0)
      throw Error("the emulated GPU's memory cannot be opened or closed");
  }

  std::mutex mutex_;
  std::byte* base_;
  std::size_t end_ = 0;                      // of what has ever been allocated, whole pages
  std::map<std::size_t, std::size_t> used_;  // lengths by offset
  int accesses_ = 0;
};

}  // namespace

bool device_memory_is_host() {
  return false;
}

void* allocate_device(std::size_t bytes) {
  return Region::instance().allocate(bytes);
}

void free_device(void* memory) noexcept {
  Region::instance().free(static_cast<const std::byte*>(memory));
}

DeviceMemoryAccess::DeviceMemoryAccess() {
  Region::instance().open();
}
DeviceMemoryAccess::~DeviceMemoryAccess() {
  Region::instance().close();
}

}  // namespace lockstep::emulation
