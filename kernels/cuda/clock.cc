#include "kernels/cuda/clock.h"

#include <vector>

#include "kernels/cuda/stream.h"
#include "kernels/cuda/timed_event.h"

namespace lockstep {

namespace {

class TimedEvent {
 public:
  explicit TimedEvent(Stream& stream) : raw_(gpu::make_timed_event()) {
    try {
      gpu::record(raw_, cuda_stream(stream).raw());
    } catch (...) {
      gpu::destroy(raw_);
      throw;
    }
  }
  ~TimedEvent() { gpu::destroy(raw_); }
  TimedEvent(const TimedEvent&) = delete;
  TimedEvent& operator=(const TimedEvent&) = delete;

  double seconds_since(const TimedEvent& begin) const {
    gpu::synchronize(raw_);
    return gpu::seconds_between(begin.raw_, raw_);
  }

 private:
  gpu::RawEvent raw_;
};

class CudaClock final : public GpuClock {
 public:
  void start(Stream& stream) override {
    marks_.clear();
    begin_ = std::make_unique<TimedEvent>(stream);
  }
  int mark(Stream& stream) override {
    LOCKSTEP_CHECK(begin_ != nullptr, "mark {} of a clock that was not started", marks_.size());
    marks_.push_back(std::make_unique<TimedEvent>(stream));
    return static_cast<int>(marks_.size()) - 1;
  }
  double seconds(int mark) override {
    LOCKSTEP_CHECK(0 <= mark && mark < std::ssize(marks_), "mark {} of {}", mark, marks_.size());
    return marks_[static_cast<std::size_t>(mark)]->seconds_since(*begin_);
  }

 private:
  std::unique_ptr<TimedEvent> begin_;
  std::vector<std::unique_ptr<TimedEvent>> marks_;
};

}  // namespace

std::unique_ptr<GpuClock> make_cuda_clock() {
  return std::make_unique<CudaClock>();
}

}  // namespace lockstep
