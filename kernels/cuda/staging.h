// Pinned host memory through which a stream takes what the host gives it: the caller's memory may
// change as soon as the call returns, and the copy to the device needs no help of the host's. Each
// size has some pieces, made at its first use and taken in turn, so that later steps ask for none.
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <memory>

#include "kernels/cuda/arena.h"
#include "kernels/cuda/gpu.h"

namespace lockstep {

class Staging {
 public:
  explicit Staging(std::shared_ptr<gpu::Arena> arena) : arena_(std::move(arena)) {}
  ~Staging();  // its stream is idle
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  // From plain host memory to the device's, in the stream's order. The host waits where all pieces
  // of that size are still being copied.
  void upload(gpu::RawStream stream, const void* from, void* to, std::size_t bytes);

 private:
  static constexpr std::size_t kPieces = 4;  // so many shards may be queued ahead of their copies
  struct Ring {
    std::shared_ptr<std::byte> memory;            // of all pieces
    std::array<gpu::RawEvent, kPieces> copied{};  // null in a rehearsal
    std::size_t next = 0;
  };
  Ring& ring(gpu::RawStream stream, std::size_t bytes);

  const std::shared_ptr<gpu::Arena> arena_;
  std::map<std::size_t, Ring> rings_;  // by the pieces' exact size: batches repeat
};

}  // namespace lockstep
