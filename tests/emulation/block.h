// The state of the block that runs: shared by the machine and the race detector.
#pragma once

#include <vector>

#include "tests/emulation/fibers.h"
#include "tests/emulation/gpu_dialect.h"
#include "tests/emulation/machine.h"

namespace lockstep::emulation {

struct Thread {
  enum class State : std::uint8_t { kReady, kAtBarrier, kAtWarpOperation, kExited };

  Fiber fiber;
  int index = 0;
  Index3 place;
  State state = State::kExited;
  Site site{};  // of the call at which it waits
  // Of the warp operation at which it waits.
  WarpOperation operation = WarpOperation::kSync;
  unsigned mask = 0;
  std::uint64_t value = 0, result = 0;
  int source = 0;
  unsigned warp_epoch = 0;  // counts __syncwarp alone: a shuffle orders no memory
};

struct Block {
  std::vector<Thread> threads;  // of which the launch uses the first `count`
  Thread* running = nullptr;    // null: none, the host's code runs
  std::uint32_t launch = 0, number = 0;
  int count = 0, alive = 0, waiting = 0, predicates = 0, barrier_result = 0;
  Site barrier{};
  unsigned epoch = 0;  // counts __syncthreads
  std::vector<int> ready;
  char *stacks = nullptr, *stacks_end = nullptr;
  char *shared = nullptr, *shared_end = nullptr;
};

Block& block();
std::string name_of(const Thread& thread);  // "thread (1, 0, 0) of block (3, 0, 0) of add"

// Gives the launch up: run_grid throws the message. Only a running thread may call it.
[[noreturn]] void fail(std::string message);

}  // namespace lockstep::emulation
