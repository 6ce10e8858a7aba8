#include "tests/emulation/fibers.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "kernels/core/error.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace lockstep::emulation {

namespace {

constexpr std::size_t kGuardBytes = 4096;
#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t kStackBytes = 256 << 10;  // its frames are larger
#else
constexpr std::size_t kStackBytes = 64 << 10;
#endif

#if defined(__x86_64__)

[[gnu::naked, gnu::noinline]] void switch_context(void** /*save: rdi*/, void* /*load: rsi*/) {
  asm("pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
      "movq %rsp, (%rdi); movq %rsi, %rsp\n"
      "popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp; ret");
}

// What the first switch pops: six registers and the address of `entry`.
void* new_context(char* stack, void (*entry)()) {
  auto* top = reinterpret_cast<void**>(stack + kGuardBytes + kStackBytes);
  *--top = nullptr;  // the alignment that the ABI has at an entry; ends a backtrace
  *--top = reinterpret_cast<void*>(entry);
  top -= 6;
  std::memset(top, 0, 6 * sizeof(void*));
  return top;
}

void free_context(void*) {}

#else

void switch_context(void** save, void* load) {
  if (*save == nullptr) *save = new ucontext_t;
  swapcontext(static_cast<ucontext_t*>(*save), static_cast<ucontext_t*>(load));
}

void* new_context(char* stack, void (*entry)()) {
  auto* context = new ucontext_t;
  getcontext(context);
  context->uc_stack.ss_sp = stack + kGuardBytes;
  context->uc_stack.ss_size = kStackBytes;
  context->uc_link = nullptr;
  makecontext(context, entry, 0);
  return context;
}

void free_context(void* context) {
  delete static_cast<ucontext_t*>(context);
}

#endif

// Of the thread's own stack, which the sanitizer names when a fiber is entered from it.
[[maybe_unused]] const void* own_stack = nullptr;
[[maybe_unused]] std::size_t own_stack_bytes = 0;

}  // namespace

std::size_t Fiber::stack_bytes() {
  return kGuardBytes + kStackBytes;
}

Fiber::Fiber(char* stack, void (*entry)()) : stack_(stack), entry_(entry) {
  if (mprotect(stack, kGuardBytes, PROT_NONE) != 0) throw Error("a fiber's stack has no guard");
  context_ = new_context(stack, entry);
}

void Fiber::restart() {
#if defined(__SANITIZE_ADDRESS__)
  ASAN_UNPOISON_MEMORY_REGION(stack_ + kGuardBytes, kStackBytes);
  sanitizer_ = nullptr;
#endif
  free_context(context_);
  context_ = new_context(stack_, entry_);
}

[[gnu::no_sanitize_address]] void Fiber::resume(Fiber& from) {
#if defined(__SANITIZE_ADDRESS__)
  if (stack_ == nullptr)
    __sanitizer_start_switch_fiber(&from.sanitizer_, own_stack, own_stack_bytes);
  else
    __sanitizer_start_switch_fiber(&from.sanitizer_, stack_ + kGuardBytes, kStackBytes);
#endif
  switch_context(&from.context_, context_);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(from.sanitizer_, nullptr, nullptr);
#endif
}

void fiber_started() {
#if defined(__SANITIZE_ADDRESS__)
  const void* stack;
  std::size_t bytes;
  __sanitizer_finish_switch_fiber(nullptr, &stack, &bytes);
  if (own_stack == nullptr) own_stack = stack, own_stack_bytes = bytes;
#endif
}

}  // namespace lockstep::emulation
