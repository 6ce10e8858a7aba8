#include "runtime/communication/futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <ctime>

namespace lockstep {

// publish() writes the value, then reads `sleepers_`; sleep() writes `sleepers_`, then reads the
// value. All four are sequentially consistent, so at least one side sees the other's write: either
// the sleeper does not sleep or the publisher wakes it. The kernel compares the value once more.
void StepCounter::publish(std::uint32_t step) {
  value_.store(step, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) != 0)
    syscall(SYS_futex, &value_, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void StepCounter::sleep(std::uint32_t step, std::chrono::nanoseconds limit) {
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  const std::uint32_t value = value_.load(std::memory_order_seq_cst);
  if (!passed(value, step)) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit);
    timespec timeout{};
    timeout.tv_sec = seconds.count();
    timeout.tv_nsec = (limit - seconds).count();
    // Whatever it returns (woken, moved already, interrupted, timed out), the caller looks again.
    syscall(SYS_futex, &value_, FUTEX_WAIT, value, &timeout, nullptr, 0);
  }
  sleepers_.fetch_sub(1, std::memory_order_relaxed);
}

void spin_pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb");  // as long as x86's pause; `yield` does nothing on most cores
#endif
}

}  // namespace lockstep
