// StepCounter: a number that one worker raises step by step and that workers of any process on the
// node wait for. It lives in zeroed memory that all of them map, alone on its cache line. It sleeps
// on a futex of the shared kind: std::atomic::wait uses private ones, which never wake a process.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace lockstep {

inline constexpr std::size_t kCacheLine = 64;

class alignas(kCacheLine) StepCounter {
 public:
  // Everything the caller wrote before is seen by whoever finds the counter at `step`.
  void publish(std::uint32_t step);
  bool reached(std::uint32_t step) const {
    return passed(value_.load(std::memory_order_acquire), step);
  }
  // Sleeps until the counter moves or `limit` has passed; returns at once if it reached `step`.
  void sleep(std::uint32_t step, std::chrono::nanoseconds limit);

 private:
  // Steps are compared by their distance, so that counting may wrap around.
  static bool passed(std::uint32_t value, std::uint32_t step) {
    return static_cast<std::int32_t>(value - step) >= 0;
  }

  std::atomic<std::uint32_t> value_{0};
  std::atomic<std::uint32_t> sleepers_{0};
};

static_assert(sizeof(StepCounter) == kCacheLine);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);  // or processes could not share it

// One iteration of a short spin: tells the core that it waits for another.
void spin_pause();

}  // namespace lockstep
