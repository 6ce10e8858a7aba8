#include "kernels/cpu/memory.h"

#include <sys/mman.h>

#include <cstdlib>

#include "kernels/core/error.h"

namespace lockstep {

std::shared_ptr<std::byte> allocate_host(std::size_t bytes) {
  constexpr std::size_t kAlignment = 256, kHugePage = std::size_t{2} << 20;
  constexpr std::size_t kMost = std::size_t{1} << 46;  // half of what a process can address
  const bool large = bytes >= 2 * kHugePage;
  const std::size_t alignment = large ? kHugePage : kAlignment;
  const std::size_t size = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  void* memory = nullptr;
  if (bytes > kMost || posix_memalign(&memory, alignment, size == 0 ? kAlignment : size) != 0)
    throw Error(
        "out of memory: {:.1f} MB more cannot be had; use a smaller training.batch or fewer "
        "run.threads",
        static_cast<double>(bytes) * 1e-6);
  // Advice alone: where the kernel offers no huge pages, small ones serve.
  if (large) madvise(memory, size / kHugePage * kHugePage, MADV_HUGEPAGE);
  return {static_cast<std::byte*>(memory), [](std::byte* pointer) { std::free(pointer); }};
}

}  // namespace lockstep
