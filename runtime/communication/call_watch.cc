#include "runtime/communication/call_watch.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace lockstep {

namespace {

// How often the watch looks at the clock: calls begin and end without waking it.
constexpr auto kGlance = std::chrono::milliseconds(100);
constexpr double kEver = 1e8;  // seconds; more would overflow the clock

}  // namespace

CallWatch::CallWatch() : thread_([this] { watch(); }) {}

CallWatch::~CallWatch() {
  {
    const std::lock_guard lock(mutex_);
    leaving_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void CallWatch::begin(double seconds, const std::string& message) {
  const std::lock_guard lock(mutex_);
  running_ = true;
  const std::chrono::duration<double> limit(std::min(seconds, kEver));
  deadline_ = std::chrono::steady_clock::now() +
              std::chrono::duration_cast<std::chrono::steady_clock::duration>(limit);
  message_ = message;
}

void CallWatch::end() {
  const std::lock_guard lock(mutex_);
  running_ = false;
}

void CallWatch::watch() {
  std::unique_lock lock(mutex_);
  while (!leaving_) {
    changed_.wait_for(lock, kGlance);
    if (!running_ || std::chrono::steady_clock::now() < deadline_) continue;
    std::fprintf(stderr, "%s\n", message_.c_str());
    _exit(1);
  }
}

}  // namespace lockstep
