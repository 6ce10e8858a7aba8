#include "kernels/cuda/stream_memory.h"

namespace lockstep {

std::shared_ptr<StreamMemory> StreamMemory::make(std::shared_ptr<gpu::Arena> arena) {
  return std::shared_ptr<StreamMemory>(new StreamMemory(std::move(arena)));
}

std::shared_ptr<std::byte> StreamMemory::allocate(std::size_t bytes) {
  std::shared_ptr<std::byte> memory;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = free_.find(bytes); found != free_.end()) {
      memory = std::move(found->second);
      free_.erase(found);
    }
  }
  if (memory == nullptr) {
    const MemoryUse use("samples and targets");
    memory = arena_->allocate(bytes);
  }
  std::byte* const place = memory.get();
  return {place,
          [self = shared_from_this(), bytes, memory = std::move(memory)](std::byte*) mutable {
            const std::lock_guard lock(self->mutex_);
            self->free_.emplace(bytes, std::move(memory));
          }};
}

}  // namespace lockstep
