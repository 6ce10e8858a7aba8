#include "kernels/cpu/stream.h"

#include <algorithm>
#include <utility>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/memory.h"

namespace lockstep {

namespace {

// Spins while `value` is `old` and time remains; true once it changed. The first microseconds are
// spun hot; then each round yields, or a waiter could keep the one it waits for from the processor.
template <typename T>
bool spin_while(const std::atomic<T>& value, T old, std::chrono::microseconds limit) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::microseconds kHot{1};
  const auto start = Clock::now();
  for (;;) {
    for (int i = 0; i < 16; ++i) {
      if (value.load(std::memory_order_acquire) != old) return true;
#ifdef LOCKSTEP_X86_64
      __builtin_ia32_pause();
#endif
    }
    const auto waited = Clock::now() - start;
    if (waited >= limit) return false;
    if (waited >= kHot) std::this_thread::yield();
  }
}

// Returns once `value` is no longer `old`.
template <typename T>
void wait_while(const std::atomic<T>& value, T old, std::chrono::microseconds spin) {
  if (!spin_while(value, old, spin)) value.wait(old, std::memory_order_acquire);
}

class CpuEvent final : public Event {
 public:
  CpuEvent(std::shared_ptr<CpuQueue> queue, std::uint64_t position)
      : queue_(std::move(queue)), position_(position) {}
  bool reached() const override { return queue_->reached(position_); }
  void synchronize() override { queue_->synchronize(position_); }
  void await() { queue_->await(position_); }
  const std::shared_ptr<CpuQueue>& queue() const { return queue_; }

 private:
  std::shared_ptr<CpuQueue> queue_;
  std::uint64_t position_;
};

}  // namespace

std::uint64_t CpuQueue::push(std::function<void()> work) {
  std::uint64_t position;
  {
    const std::lock_guard lock(mutex_);
    work_.push_back(std::move(work));
    position = pushed_.fetch_add(1, std::memory_order_release) + 1;
  }
  if (options_.own_thread) pushed_.notify_all();
  return position;
}

void CpuQueue::run_next() {
  std::function<void()> work;
  bool failed;
  {
    const std::lock_guard lock(mutex_);
    work = std::move(work_.front());
    work_.pop_front();
    failed = failure_ != nullptr;
  }
  if (!failed) {
    try {
      work();
    } catch (...) {
      const std::lock_guard lock(mutex_);
      failure_ = std::current_exception();
      failure_position_ = done_.load(std::memory_order_relaxed) + 1;
    }
  }
  work = nullptr;  // what the work holds is released before others learn that it is done
  done_.fetch_add(1, std::memory_order_release);
  done_.notify_all();
}

void CpuQueue::run_until(std::uint64_t position) {
  LOCKSTEP_CHECK(runner_.load() != std::this_thread::get_id(),
                 "a stream's work may not synchronize its own stream");
  const std::lock_guard lock(run_mutex_);
  flush_denormals_to_zero();
  runner_ = std::this_thread::get_id();
  while (!reached(position)) run_next();
  runner_ = std::thread::id();
}

void CpuQueue::serve() {
  flush_denormals_to_zero();
  runner_ = std::this_thread::get_id();
  for (;;) {
    const std::uint64_t done = done_.load(std::memory_order_relaxed);
    wait_while(pushed_, done, options_.spin);
    if (closed_.load(std::memory_order_acquire)) break;
    run_next();
  }
  abandon();
}

void CpuQueue::close() {
  closed_.store(true, std::memory_order_release);
  push([] {});  // wakes the thread, which then sees that it should end
  if (!options_.own_thread) abandon();
}

void CpuQueue::abandon() {
  const std::lock_guard lock(mutex_);
  if (!failure_ && work_.size() > 1) {
    failure_ = std::make_exception_ptr(Error("a stream ended before the work that waited in it"));
    failure_position_ = done_.load(std::memory_order_relaxed) + 1;
  }
  work_.clear();
  done_.store(pushed(), std::memory_order_release);
  done_.notify_all();
}

void CpuQueue::rethrow(std::uint64_t position) {
  const std::lock_guard lock(mutex_);
  if (failure_ && failure_position_ <= position) std::rethrow_exception(failure_);
}

void CpuQueue::synchronize(std::uint64_t position) {
  if (options_.own_thread) {
    await(position);
  } else {
    run_until(position);
    rethrow(position);
  }
}

void CpuQueue::await(std::uint64_t position) {
  LOCKSTEP_CHECK(runner_.load() != std::this_thread::get_id(),
                 "a stream's work may not wait for its own stream");
  for (;;) {
    const std::uint64_t done = done_.load(std::memory_order_acquire);
    if (done >= position) break;
    wait_while(done_, done, options_.spin);
  }
  rethrow(position);
}

void CpuQueue::forget_failure() {
  const std::lock_guard lock(mutex_);
  failure_ = nullptr;
}

CpuStream::CpuStream(Device& device, const CpuStreamOptions& options)
    : device_(device), queue_(std::make_shared<CpuQueue>(options)) {
  if (options.own_thread)
    thread_ = std::thread([queue = queue_] { queue->serve(); });
  else
    flush_denormals_to_zero();  // operations may also be called beside the queue, on this thread
}

CpuStream::~CpuStream() {
  queue_->close();
  if (thread_.joinable()) thread_.join();
}

std::shared_ptr<Event> CpuStream::record() {
  return std::make_shared<CpuEvent>(queue_, queue_->pushed());
}

void CpuStream::wait(std::shared_ptr<Event> event) {
  auto awaited = std::dynamic_pointer_cast<CpuEvent>(std::move(event));
  LOCKSTEP_CHECK(awaited != nullptr, "a CPU stream waits for events of CPU streams");
  if (awaited->queue() == queue_) return;  // its own work comes in order anyway
  queue_->push([awaited] { awaited->await(); });
}

void CpuStream::synchronize() {
  try {
    queue_->synchronize(queue_->pushed());
  } catch (...) {
    queue_->forget_failure();
    throw;
  }
}

std::byte* CpuStream::workspace(std::size_t bytes) {
  if (bytes > workspace_bytes_) {
    workspace_.reset();  // before the new one, so that both need not fit
    workspace_bytes_ = 0;
    workspace_ = allocate_host(bytes);
    workspace_bytes_ = bytes;
  }
  return workspace_.get();
}

}  // namespace lockstep
