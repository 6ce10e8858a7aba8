// Stacks, and the switch from one to another: what a coroutine is made of. A switch saves the
// registers that a call preserves, some 7 ns; elsewhere than on x86-64 ucontext does, with a system
// call. The sanitizers are told of every switch.
#pragma once

#include <cstddef>

namespace lockstep::emulation {

class Fiber {
 public:
  // The thread that runs the grid; it has a stack already.
  Fiber() = default;
  // Runs `entry`, which never returns, on a stack of its own that ends with an unmapped page.
  Fiber(char* stack, void (*entry)());

  static std::size_t stack_bytes();  // with the page that guards it

  // Leaves the running fiber `from` for this one.
  void resume(Fiber& from);
  void restart();  // from `entry`, whatever it was doing

 private:
  char* stack_ = nullptr;
  void (*entry_)() = nullptr;
  void* context_ = nullptr;
  void* sanitizer_ = nullptr;
};

// The first thing that an entry calls.
void fiber_started();

}  // namespace lockstep::emulation
