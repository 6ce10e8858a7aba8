// Device memory for what lives no longer than a step, such as uploaded samples. Pieces that are
// given back serve later work of the same stream, which runs after all that used them before; so
// nobody waits, and once every size has been asked for, no step asks the device for memory.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>

#include "kernels/cuda/arena.h"

namespace lockstep {

class StreamMemory : public std::enable_shared_from_this<StreamMemory> {
 public:
  static std::shared_ptr<StreamMemory> make(std::shared_ptr<gpu::Arena> arena);
  StreamMemory(const StreamMemory&) = delete;
  StreamMemory& operator=(const StreamMemory&) = delete;

  // Goes back when the last handle goes, whose thread may be any.
  std::shared_ptr<std::byte> allocate(std::size_t bytes);

 private:
  explicit StreamMemory(std::shared_ptr<gpu::Arena> arena) : arena_(std::move(arena)) {}

  const std::shared_ptr<gpu::Arena> arena_;

  std::mutex mutex_;
  // By their exact size: batches repeat.
  std::multimap<std::size_t, std::shared_ptr<std::byte>> free_;
};

}  // namespace lockstep
