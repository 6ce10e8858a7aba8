// CpuStream: a queue of work and the thread that runs it. Stream 0 has no thread: whoever calls
// synchronize() on it, or on one of its events, runs its queue, so that no core idles in a wait.
// Streams above 0 start queued work at once; their threads spin briefly for more, then sleep.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "kernels/core/device.h"

namespace lockstep {

struct CpuStreamOptions {
  bool own_thread = true;
  // How long a wait spins before it sleeps: waking a sleeper costs some 5 µs more than a spinner.
  std::chrono::microseconds spin{50};
};

// The queue, shared by the stream and its events (which may outlive it).
class CpuQueue {
 public:
  explicit CpuQueue(const CpuStreamOptions& options) : options_(options) {}

  std::uint64_t push(std::function<void()> work);  // the position after this work
  std::uint64_t pushed() const { return pushed_.load(std::memory_order_acquire); }
  bool reached(std::uint64_t position) const {
    return done_.load(std::memory_order_acquire) >= position;
  }
  void run_until(std::uint64_t position);  // on the calling thread, in order
  void serve();                            // the body of a stream's own thread; ends after close()
  void close();                            // drops work that has not begun
  // Blocks until `position` is done, by running the queue where no thread does. Throws what the
  // work up to there threw.
  void synchronize(std::uint64_t position);
  void await(std::uint64_t position);  // the same, but leaves running to others
  void forget_failure();               // after it, work runs again

 private:
  void run_next();
  void abandon();  // events of dropped work come, with an Error
  void rethrow(std::uint64_t position);

  const CpuStreamOptions options_;
  std::mutex mutex_;  // guards work_ and failure_
  std::deque<std::function<void()>> work_;
  std::exception_ptr failure_;  // the first; work behind it is dropped
  std::uint64_t failure_position_ = 0;
  std::atomic<std::uint64_t> pushed_{0}, done_{0};
  std::atomic<bool> closed_{false};
  std::mutex run_mutex_;  // one thread at a time runs the queue of stream 0
  std::atomic<std::thread::id> runner_;
};

class CpuStream final : public Stream {
 public:
  CpuStream(Device& device, const CpuStreamOptions& options);
  ~CpuStream() override;  // waits for the work that has begun; what has not is dropped

  Device& device() override { return device_; }
  void submit(std::function<void()> work) override { queue_->push(std::move(work)); }
  std::shared_ptr<Event> record() override;
  // An event of stream 0 comes only when somebody synchronizes stream 0: do that first.
  void wait(std::shared_ptr<Event> event) override;
  void synchronize() override;
  std::byte* workspace(std::size_t bytes) override;

 private:
  Device& device_;
  std::shared_ptr<CpuQueue> queue_;
  std::shared_ptr<std::byte> workspace_;
  std::size_t workspace_bytes_ = 0;
  std::thread thread_;
};

}  // namespace lockstep
