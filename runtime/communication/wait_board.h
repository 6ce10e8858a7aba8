// WaitBoard: where the ranks of a node show that they wait for another rank. Whoever runs out of
// patience for several ranks tells by it the one that is stopped from those that wait for it too.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "runtime/communication/futex.h"

namespace lockstep {

class WaitBoard {
 public:
  struct alignas(kCacheLine) Sign {
    std::atomic<std::int64_t> last{0};  // ns of the machine's steady clock; 0: never
  };

  // `signs`: one a rank, zeroed, where all of them see it. `names`: by which messages name them;
  // `own`: this rank's place among them.
  WaitBoard(Sign* signs, std::vector<int> names, int own)
      : signs_(signs), names_(std::move(names)), own_(static_cast<std::size_t>(own)) {}

  // This rank waits for another one: to be said again and again while it does, from any thread.
  void sign() const;
  // Of the ranks that are late after so much patience, each once, ascending: those that are not
  // waiting themselves. All of them where all are, or none is on this board.
  std::vector<int> culprits(std::vector<int> late, double patience_seconds) const;

 private:
  Sign* signs_;
  std::vector<int> names_;
  std::size_t own_;
};

static_assert(std::atomic<std::int64_t>::is_always_lock_free);  // or processes could not share it

}  // namespace lockstep
