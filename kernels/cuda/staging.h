// Pinned host memory through which a stream takes what the host gives it: the caller's memory may
// change as soon as the call returns, and the copy to the device needs no help of the host's. A
// piece serves again once its copy is done, so that steps ask for none after the first few.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "kernels/cuda/gpu.h"

namespace lockstep {

class Staging {
 public:
  Staging() = default;
  ~Staging();  // its stream is idle
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  // From plain host memory to the device's, in the stream's order.
  void upload(gpu::RawStream stream, const void* from, void* to, std::size_t bytes);

 private:
  struct Piece {
    std::shared_ptr<std::byte> memory;
    std::size_t bytes = 0;
    gpu::RawEvent copied = nullptr;
  };
  Piece& free_piece(std::size_t bytes);

  std::vector<Piece> pieces_;
};

}  // namespace lockstep
