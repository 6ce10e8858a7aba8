// LinkWatch: a thread that looks after what was queued on a device link. A host that waits for the
// device cannot be interrupted when another rank is lost, and the device waits for ever: where work
// is not done in time, or the library has met an error, this thread prints the one message that
// names rank, step and bucket, and ends the process; the launcher ends the others. Where a failure
// is announced already, it ends what is under way on the link: this rank's streams, and the memory
// that they use, would wait for it while the rank's own thread comes to an end.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "runtime/communication/communicator.h"
#include "runtime/communication/device_link.h"
#include "runtime/communication/futex.h"

namespace lockstep {

struct LinkWork {
  const char* what = "";   // "sent its gradients", as late_error says it
  int bucket = -1;         // none
  std::int64_t step = -1;  // none
};

class LinkWatch {
 public:
  // A collective. All that it is given outlives the watch.
  LinkWatch(Communicator& communicator, DeviceLink& link, double patience_seconds);
  ~LinkWatch();
  LinkWatch(const LinkWatch&) = delete;
  LinkWatch& operator=(const LinkWatch&) = delete;

  // This rank is about to queue such work; a message that has no event yet can name it.
  void begin(const LinkWork& work);
  // What was begun last is done when the event is reached.
  void follow(std::shared_ptr<Event> done);
  // The error of a call for what was begun last, in one message with rank, step and bucket.
  Error explain(const std::string& error) const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Followed {
    LinkWork work;
    std::uint32_t number;
    std::shared_ptr<Event> done;
    Clock::time_point since;
  };

  // What ranks of a node show each other, in memory that is zero at first.
  struct alignas(kCacheLine) Sign {
    std::atomic<std::uint32_t> begun;  // pieces of work
    std::atomic<std::uint32_t> beats;  // of the thread, as long as the process runs
  };

  Sign& own_sign();
  void watch();
  std::string trouble();  // a message, or "" as long as nothing is wrong
  std::string late(const Followed& followed) const;
  // Ranks of this node that have not begun so much work; where all have, those that stand still.
  std::vector<int> culprits(std::uint32_t number) const;
  [[noreturn]] void give_up(const std::string& message);
  void let_go(std::unique_lock<std::mutex>& lock);

  Communicator& communicator_;
  DeviceLink& link_;
  double patience_seconds_;
  NodeMemory board_;
  std::span<Sign> signs_;  // by local rank; empty where the ranks cannot see each other's
  std::uint32_t begun_ = 0;
  LinkWork last_;

  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  std::deque<Followed> followed_;
  bool leaving_ = false;
  std::thread thread_;
};

}  // namespace lockstep
