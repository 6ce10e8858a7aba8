#include "kernels/cuda/stream_memory.h"

#include "kernels/cuda/gpu.h"

namespace lockstep {

std::shared_ptr<StreamMemory> StreamMemory::make() {
  return std::shared_ptr<StreamMemory>(new StreamMemory());
}

StreamMemory::~StreamMemory() {
  for (const auto& [bytes, memory] : free_) gpu::free_memory(memory);
}

std::shared_ptr<std::byte> StreamMemory::allocate(std::size_t bytes) {
  std::byte* memory = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = free_.find(bytes); found != free_.end()) {
      memory = found->second;
      free_.erase(found);
    }
  }
  if (memory == nullptr) memory = static_cast<std::byte*>(gpu::allocate(bytes));
  return {memory,
          [self = shared_from_this(), bytes](std::byte* gone) { self->give_back(gone, bytes); }};
}

void StreamMemory::give_back(std::byte* memory, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  free_.emplace(bytes, memory);
}

}  // namespace lockstep
