#include "runtime/communication/wait_board.h"

#include <algorithm>
#include <chrono>

namespace lockstep {

namespace {

// Who waits signs every few milliseconds, but may find no core for a while. Who is stopped made its
// last sign before the others' patience began.
constexpr double kFreshPart = 0.5;  // of the patience

std::int64_t now() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
}

}  // namespace

void WaitBoard::sign() const {
  signs_[own_].last.store(now(), std::memory_order_relaxed);
}

std::vector<int> WaitBoard::culprits(std::vector<int> late, double patience_seconds) const {
  std::sort(late.begin(), late.end());
  late.erase(std::unique(late.begin(), late.end()), late.end());
  const auto time = static_cast<double>(now());
  const auto waits = [&](int name) {
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found == names_.end()) return false;
    const std::int64_t last = signs_[found - names_.begin()].last.load(std::memory_order_relaxed);
    return last != 0 && time - static_cast<double>(last) < kFreshPart * patience_seconds * 1e9;
  };
  std::vector<int> culprits;
  std::remove_copy_if(late.begin(), late.end(), std::back_inserter(culprits), waits);
  return culprits.empty() ? late : culprits;
}

}  // namespace lockstep
