#include "tests/emulation/streams.h"

#include <cstdlib>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/core/error.h"
#include "tests/emulation/machine.h"

using Progress = std::shared_ptr<std::uint64_t>;  // how many of a stream's items have run

struct CUevent_st {
  Progress progress;  // null: never recorded, which counts as reached
  std::uint64_t after = 0;
  bool reached() const { return progress == nullptr || *progress >= after; }
};

struct CUstream_st {
  struct Item {
    std::function<void()> work;
    std::shared_ptr<const CUevent_st> event;  // what it waits for, where it is a wait
  };
  std::deque<Item> items;
  std::uint64_t queued = 0;
  Progress run = std::make_shared<std::uint64_t>(0);
  bool ready() const { return !items.empty() && (!items[0].event || items[0].event->reached()); }
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

// Ranks may be threads, and a checkpoint is written by one of its own. Work runs under it.
std::recursive_mutex mutex;
std::vector<CUstream_st*> streams;
std::exception_ptr failure;  // sticky, as CUDA's
std::uint64_t random_state = 0;

void run_front(CUstream_st& stream) {
  CUstream_st::Item item = std::move(stream.items.front());
  stream.items.pop_front();
  if (item.work && failure == nullptr) {
    try {
      item.work();
    } catch (...) {
      failure = std::current_exception();
    }
  }
  ++*stream.run;
}

// Runs items of randomly chosen streams until `done`.
template <typename Done>
void run_until(const Done& done) {
  const std::lock_guard lock(mutex);
  while (!done()) {
    std::vector<CUstream_st*> ready;
    for (CUstream_st* stream : streams)
      if (stream->ready()) ready.push_back(stream);
    if (ready.empty()) throw Error("every stream of the emulated GPU waits for an event");
    random_state = (random_state + options().seed) * 6364136223846793005u + 1442695040888963407u;
    run_front(*ready[(random_state >> 33) % ready.size()]);
  }
  if (failure != nullptr) std::rethrow_exception(failure);
}

void push(gpu::RawStream stream, CUstream_st::Item item) {
  const std::lock_guard lock(mutex);
  LOCKSTEP_CHECK(stream != nullptr, "work for no stream");
  stream->items.push_back(std::move(item));
  ++stream->queued;
  if (mode() == Streams::kAtOnce) run_until([&] { return stream->items.empty(); });
}

}  // namespace

void set_streams(Streams chosen) {
  for (const CUstream_st* stream : streams)
    LOCKSTEP_CHECK(stream->items.empty(), "a stream still has work");
  mode() = chosen;
  failure = nullptr;
}

void enqueue(gpu::RawStream stream, const char* name, std::function<void()> work) {
  if (failure != nullptr) throw Error("{}: an earlier kernel has failed", name);
  push(stream, {std::move(work), nullptr});
}

void finish_all() {
  run_until([] {
    for (const CUstream_st* stream : streams)
      if (!stream->items.empty()) return false;
    return true;
  });
}

}  // namespace emulation

namespace gpu {

RawStream make_stream(StreamPriority) {
  const std::lock_guard lock(emulation::mutex);
  return emulation::streams.emplace_back(new CUstream_st);
}

void destroy(RawStream stream) noexcept {
  const std::lock_guard lock(emulation::mutex);
  std::erase(emulation::streams, stream);
  delete stream;
}

void synchronize(RawStream stream) {
  emulation::run_until([&] { return stream->items.empty(); });
}

RawEvent make_event() {
  return new CUevent_st;
}

void destroy(RawEvent event) noexcept {
  delete event;
}

void record(RawEvent event, RawStream stream) {
  const std::lock_guard lock(emulation::mutex);
  *event = {stream->run, stream->queued};
}

void wait(RawStream stream, RawEvent event) {
  emulation::push(stream, {nullptr, std::make_shared<const CUevent_st>(*event)});
}

bool reached(RawEvent event) {
  const std::lock_guard lock(emulation::mutex);
  return event->reached();
}

void synchronize(RawEvent event) {
  emulation::run_until([&] { return event->reached(); });
}

}  // namespace gpu

}  // namespace lockstep
