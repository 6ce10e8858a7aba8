#include "kernels/cuda/staging.h"

#include <cstring>

#include "kernels/cuda/stream.h"

namespace lockstep {

Staging::~Staging() {
  for (const Piece& piece : pieces_) gpu::destroy(piece.copied);
}

void Staging::upload(gpu::RawStream stream, const void* from, void* to, std::size_t bytes) {
  if (bytes == 0) return;
  Piece& piece = free_piece(bytes);
  std::memcpy(piece.memory.get(), from, bytes);
  gpu::copy_async(to, piece.memory.get(), bytes, stream);
  gpu::record(piece.copied, stream);
}

// Of exactly that size, since the sizes of batches repeat.
Staging::Piece& Staging::free_piece(std::size_t bytes) {
  for (Piece& piece : pieces_)
    if (piece.bytes == bytes && gpu::reached(piece.copied)) return piece;
  pieces_.push_back({allocate_pinned_host(bytes), bytes, gpu::make_event()});
  return pieces_.back();
}

}  // namespace lockstep
