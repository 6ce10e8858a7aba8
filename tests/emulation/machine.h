// The emulated GPU's execution model: one fiber a CUDA thread, one block at a time, in an order
// that tests choose. Kernel files see it through gpu_dialect.h. What a GPU leaves undefined is
// reported: a kernel that runs here without a report, in every order, waits for all it reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "kernels/cuda/gpu.h"

namespace lockstep::emulation {

enum class Order { kForward, kReverse, kRandom };  // of ready threads; kReverse: of blocks too

struct Options {
  Order order = Order::kForward;
  std::uint64_t seed = 1;  // of kRandom, and of the streams' interleaving
  std::size_t most_shared_bytes = 227 * 1024;
};

// Set by tests; at the start from EMULATION_ORDER = forward | reverse | random and EMULATION_SEED.
Options& options();

// Runs the body once a thread of the grid; throws Error as soon as a thread breaks a rule.
void run_grid(const gpu::Launch& launch, const std::function<void()>& body);

// ---- for gpu_dialect.h, called by the running thread
struct Site {  // of a call in a kernel
  const char* file;
  int line;
};

enum class WarpOperation : std::uint8_t { kSync, kShuffle, kBallot };

[[noreturn]] void trap(const char* what, Site site);
int block_barrier(bool predicate, Site site);  // how many threads brought a true predicate
// source: the lane whose value a shuffle returns; -1: one's own.
std::uint64_t warp_operation(WarpOperation operation, unsigned mask, std::uint64_t value,
                             int source, Site site);
int lane();
void* dynamic_shared();
void* static_shared(const void* declaration, std::size_t bytes, std::size_t alignment);

}  // namespace lockstep::emulation
