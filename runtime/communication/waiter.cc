#include "runtime/communication/waiter.h"

#include <algorithm>

namespace lockstep {

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kSpin =
    std::chrono::microseconds(40);  // a wake-up through the kernel costs about as much
constexpr auto kCrowdedSpin = std::chrono::microseconds(2);
constexpr int kPausesBetweenClocks = 16;
// How often a sleeper looks for failures, which wake nobody.
constexpr std::chrono::nanoseconds kNap = std::chrono::milliseconds(50);

}  // namespace

Waiter::Waiter(const FailureFlag& failure, double patience_seconds, bool crowded,
               const WaitBoard* board)
    : failure_(&failure), patience_seconds_(patience_seconds), crowded_(crowded), board_(board) {}

Error Waiter::late(std::vector<int> ranks, const std::string& what, std::int64_t step,
                   double seconds) const {
  if (board_ != nullptr) ranks = board_->culprits(std::move(ranks), patience_seconds_);
  return late_error(std::move(ranks), what, step, seconds);
}

bool Waiter::wait_long(StepCounter& counter, std::uint32_t step, bool of_other_rank) const {
  const Clock::time_point start = Clock::now();
  const auto spin_end = start + (crowded_ ? kCrowdedSpin : kSpin);
  do {
    for (int i = 0; i < kPausesBetweenClocks; ++i) {
      if (counter.reached(step)) return true;
      spin_pause();
    }
  } while (Clock::now() < spin_end);

  const std::chrono::duration<double> patience(patience_seconds_);
  while (!counter.reached(step)) {
    failure_->check();
    const std::chrono::duration<double> left = patience - (Clock::now() - start);
    if (left.count() <= 0) return false;
    if (of_other_rank && board_ != nullptr) board_->sign();
    // Compared as doubles: a patience of years does not fit into nanoseconds.
    const std::chrono::duration<double> nap = std::min<std::chrono::duration<double>>(left, kNap);
    counter.sleep(step, std::chrono::duration_cast<std::chrono::nanoseconds>(nap));
  }
  return true;
}

Error late_error(std::vector<int> ranks, const std::string& what, std::int64_t step,
                 double seconds) {
  std::sort(ranks.begin(), ranks.end());
  ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
  const std::string when = step < 0 ? "" : fmt::format(" of step {}", step);
  return Error(
      "{} {} {} not {}{} for {:.3g} s: is it stopped, or much slower than the others? Look "
      "at that process on its host, and start again with --resume",
      ranks.size() == 1 ? "rank" : "ranks", fmt::join(ranks, ", "),
      ranks.size() == 1 ? "has" : "have", what, when, seconds);
}

}  // namespace lockstep
