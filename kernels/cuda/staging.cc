#include "kernels/cuda/staging.h"

#include <cstring>

namespace lockstep {

Staging::~Staging() {
  for (auto& [bytes, ring] : rings_)
    for (const gpu::RawEvent event : ring.copied)
      if (event != nullptr) gpu::destroy(event);
}

void Staging::upload(gpu::RawStream stream, const void* from, void* to, std::size_t bytes) {
  if (bytes == 0) return;
  Ring& pieces = ring(stream, bytes);
  const std::size_t piece = pieces.next++ % kPieces;
  std::byte* const memory = pieces.memory.get() + piece * bytes;
  if (stream == gpu::kNoStream) return;
  if (!gpu::reached(pieces.copied[piece])) gpu::synchronize(pieces.copied[piece]);
  std::memcpy(memory, from, bytes);
  gpu::copy_async(to, memory, bytes, stream);
  gpu::record(pieces.copied[piece], stream);
}

Staging::Ring& Staging::ring(gpu::RawStream stream, std::size_t bytes) {
  Ring& pieces = rings_[bytes];
  if (pieces.memory != nullptr) return pieces;
  const MemoryUse use("samples and targets on their way");
  pieces.memory = arena_->allocate_pinned(kPieces * bytes);
  if (stream == gpu::kNoStream) return pieces;
  for (gpu::RawEvent& event : pieces.copied) event = gpu::make_event();
  return pieces;
}

}  // namespace lockstep
