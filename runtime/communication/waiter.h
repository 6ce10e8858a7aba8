// How a worker waits for others: a short spin, then sleep; every wake-up looks for a failed peer
// and at the patience left, so that no wait is for ever and none ends without a reason.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "runtime/communication/communicator.h"
#include "runtime/communication/futex.h"
#include "runtime/communication/wait_board.h"

namespace lockstep {

// Raised by the first rank that fails; lives where those who wait can see it.
class alignas(kCacheLine) FailureFlag {
 public:
  bool raise() {  // true for the first alone
    std::uint32_t none = 0;
    return raised_.compare_exchange_strong(none, 1);
  }
  bool raised() const { return raised_.load(std::memory_order_acquire) != 0; }
  void check() const {  // throws PeerFailed
    if (raised()) throw PeerFailed();
  }

 private:
  std::atomic<std::uint32_t> raised_{0};
};

class Waiter {
 public:
  // `crowded`: more workers than cores, so that a spin holds up the one it waits for. `board` may
  // be null; it and the flag outlive the waiter.
  Waiter(const FailureFlag& failure, double patience_seconds, bool crowded,
         const WaitBoard* board = nullptr);

  // False when the patience is used up. Throws PeerFailed. `of_other_rank`: whose counter it is,
  // for the board.
  bool wait(StepCounter& counter, std::uint32_t step, bool of_other_rank = false) const {
    return counter.reached(step) || wait_long(counter, step, of_other_rank);
  }
  // late_error naming those of the ranks that do not wait for others themselves.
  Error late(std::vector<int> ranks, const std::string& what, std::int64_t step,
             double seconds) const;
  double patience_seconds() const { return patience_seconds_; }
  bool crowded() const { return crowded_; }

 private:
  bool wait_long(StepCounter& counter, std::uint32_t step, bool of_other_rank) const;

  const FailureFlag* failure_;
  double patience_seconds_;
  bool crowded_;
  const WaitBoard* board_;
};

// "rank 1 has not delivered its weights of step 57 for 300 s: ...". `what` is "delivered its
// weights"; a negative step is none. `ranks` may repeat and come in any order.
Error late_error(std::vector<int> ranks, const std::string& what, std::int64_t step,
                 double seconds);

}  // namespace lockstep
