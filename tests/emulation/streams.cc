#include "tests/emulation/streams.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <vector>

#include "kernels/core/error.h"
#include "kernels/cuda/timed_event.h"
#include "tests/emulation/device_memory.h"
#include "tests/emulation/injected_faults.h"
#include "tests/emulation/machine.h"

// How many of a stream's items have run. A thread that watches may ask for it.
using Progress = std::shared_ptr<std::atomic<std::uint64_t>>;

struct CUevent_st {
  Progress progress;  // null: never recorded, which counts as reached
  std::uint64_t after = 0;
  std::shared_ptr<double> seconds = nullptr;  // of the host's clock when it came; of timed ones
  bool reached() const { return progress == nullptr || *progress >= after; }
};

namespace lockstep {

namespace emulation {

namespace {

Streams mode_from_environment() {
  const char* chosen = std::getenv("EMULATION_STREAMS");
  if (chosen == nullptr || std::string_view(chosen) == "at_once") return Streams::kAtOnce;
  if (std::string_view(chosen) == "interleaved") return Streams::kInterleaved;
  throw Error("EMULATION_STREAMS is '{}', not at_once or interleaved", chosen);
}

Streams& mode() {
  static Streams chosen = mode_from_environment();
  return chosen;
}

struct Item {
  std::function<bool()> work;               // false: it waits for other ranks
  std::shared_ptr<const CUevent_st> event;  // what it waits for, where it is a wait
  bool begun = false;
};

class EmulatedStream;

// Its functions may be called by any thread of the host's, and by its own.
class Device {
 public:
  Device() = default;
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  void add(EmulatedStream* stream);
  void remove(EmulatedStream* stream);
  void push(EmulatedStream& stream, const char* name, Item item);
  void go_on_alone();  // a thread of its own runs work from now on
  bool idle();
  void forget_failure();
  // Runs items of randomly chosen streams until `done`.
  void run_until(const std::function<bool()>& done);
  std::pair<Progress, std::uint64_t> position(EmulatedStream& stream);

 private:
  bool run_front(EmulatedStream& stream);
  bool run_random();
  void run_what_can();
  void serve();

  std::recursive_mutex mutex_;  // free() inside a kernel's end waits for all streams
  std::vector<EmulatedStream*> streams_;
  std::exception_ptr failure_;  // sticky, as CUDA's
  std::uint64_t random_state_ = 0;
  std::atomic<bool> leaving_ = false;
  std::thread thread_;
};

class EmulatedStream final : public CUstream_st {
 public:
  explicit EmulatedStream(std::shared_ptr<Device> owner) : device(std::move(owner)) {}
  void enqueue_shared(const char* name, std::function<bool()> work) override {
    device->go_on_alone();
    device->push(*this, name, {std::move(work), nullptr});
  }
  bool ready() const { return !items.empty() && (!items[0].event || items[0].event->reached()); }

  const std::shared_ptr<Device> device;
  std::deque<Item> items;
  std::uint64_t queued = 0;
  Progress run = std::make_shared<std::atomic<std::uint64_t>>(0);
};

Device::~Device() {
  leaving_ = true;
  if (thread_.joinable()) thread_.join();
}

void Device::add(EmulatedStream* stream) {
  const std::lock_guard lock(mutex_);
  streams_.push_back(stream);
}

void Device::remove(EmulatedStream* stream) {
  const std::lock_guard lock(mutex_);
  std::erase(streams_, stream);
}

bool Device::run_front(EmulatedStream& stream) {
  Item item = std::move(stream.items.front());
  stream.items.pop_front();
  if (item.work && failure_ == nullptr) {
    try {
      if (!item.begun) begin_work();
      item.begun = true;
      const DeviceMemoryAccess access;
      if (!item.work()) {
        stream.items.push_front(std::move(item));
        return false;
      }
    } catch (...) {
      failure_ = std::current_exception();
    }
  }
  ++*stream.run;
  return true;
}

// False where it only waits for other ranks.
bool Device::run_random() {
  std::vector<EmulatedStream*> ready;
  for (EmulatedStream* stream : streams_)
    if (stream->ready()) ready.push_back(stream);
  if (ready.empty()) throw Error("every stream of the emulated GPU waits for an event");
  random_state_ = (random_state_ + options().seed) * 6364136223846793005u + 1442695040888963407u;
  return run_front(*ready[(random_state_ >> 33) % ready.size()]);
}

void Device::run_what_can() {
  for (bool moves = true; moves;) {
    moves = false;
    for (std::size_t i = 0; i < streams_.size(); ++i)
      while (streams_[i]->ready() && run_front(*streams_[i])) moves = true;
  }
}

void Device::push(EmulatedStream& stream, const char* name, Item item) {
  const std::lock_guard lock(mutex_);
  if (failure_ != nullptr && item.work) throw Error("{}: an earlier kernel has failed", name);
  stream.items.push_back(std::move(item));
  ++stream.queued;
  if (mode() == Streams::kInterleaved) return;
  run_what_can();
  if (failure_ != nullptr) std::rethrow_exception(failure_);
}

void Device::go_on_alone() {
  const std::lock_guard lock(mutex_);
  if (!thread_.joinable()) thread_ = std::thread([this] { serve(); });
}

void Device::serve() {
  while (!leaving_) {
    {
      const std::lock_guard lock(mutex_);
      const auto ready = [](const EmulatedStream* stream) { return stream->ready(); };
      if (mode() == Streams::kAtOnce)
        run_what_can();
      else if (std::ranges::any_of(streams_, ready))
        run_random();
    }
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

bool Device::idle() {
  const std::lock_guard lock(mutex_);
  return std::ranges::all_of(streams_, [](const auto* stream) { return stream->items.empty(); });
}

void Device::forget_failure() {
  const std::lock_guard lock(mutex_);
  failure_ = nullptr;
}

void Device::run_until(const std::function<bool()>& done) {
  for (bool moves = true;;) {
    if (!moves) std::this_thread::yield();
    const std::lock_guard lock(mutex_);
    if (done()) break;
    moves = run_random();
  }
  const std::lock_guard lock(mutex_);
  if (failure_ != nullptr) std::rethrow_exception(failure_);
}

std::pair<Progress, std::uint64_t> Device::position(EmulatedStream& stream) {
  const std::lock_guard lock(mutex_);
  return {stream.run, stream.queued};
}

thread_local std::shared_ptr<Device> own_device;

const std::shared_ptr<Device>& device() {
  static const auto of_process = std::make_shared<Device>();
  return own_device ? own_device : of_process;
}

EmulatedStream& of(gpu::RawStream stream) {
  LOCKSTEP_CHECK(stream != nullptr, "work for no stream");
  return static_cast<EmulatedStream&>(*stream);
}

}  // namespace

void set_streams(Streams chosen) {
  LOCKSTEP_CHECK(device()->idle(), "a stream still has work");
  mode() = chosen;
  device()->forget_failure();
}

void take_own_gpu() {
  own_device = std::make_shared<Device>();
}

void enqueue(gpu::RawStream stream, const char* name, std::function<void()> work) {
  if (stream == gpu::kNoStream) return;
  of(stream).device->push(of(stream), name,
                          {[work = std::move(work)] {
                             work();
                             return true;
                           },
                           nullptr});
}

void finish_all() {
  device()->run_until([] { return device()->idle(); });
}

}  // namespace emulation

namespace gpu {

using emulation::of;

RawStream make_stream(StreamPriority) {
  auto* const stream = new emulation::EmulatedStream(emulation::device());
  emulation::device()->add(stream);
  return stream;
}

void destroy(RawStream stream) noexcept {
  of(stream).device->remove(&of(stream));
  delete stream;
}

void synchronize(RawStream stream) {
  of(stream).device->run_until([&] { return of(stream).items.empty(); });
}

RawEvent make_event() {
  return new CUevent_st;
}

void destroy(RawEvent event) noexcept {
  delete event;
}

RawEvent make_timed_event() {
  auto* const event = new CUevent_st;
  event->seconds = std::make_shared<double>(0);
  return event;
}

double seconds_between(RawEvent begin, RawEvent end) {
  LOCKSTEP_CHECK(begin->seconds && end->seconds && begin->reached() && end->reached(),
                 "the time between events that {}", "keep none, or have not been reached");
  return *end->seconds - *begin->seconds;
}

void record(RawEvent event, RawStream stream) {
  if (event->seconds)
    emulation::enqueue(stream, "a timed event", [seconds = event->seconds] {
      const auto since = std::chrono::steady_clock::now().time_since_epoch();
      *seconds = std::chrono::duration<double>(since).count();
    });
  std::tie(event->progress, event->after) = of(stream).device->position(of(stream));
}

void wait(RawStream stream, RawEvent event) {
  of(stream).device->push(of(stream), "wait",
                          {nullptr, std::make_shared<const CUevent_st>(*event)});
}

bool reached(RawEvent event) {
  return event->reached();
}

void synchronize(RawEvent event) {
  emulation::device()->run_until([&] { return event->reached(); });
}

}  // namespace gpu

}  // namespace lockstep
