#include "runtime/communication/link_watch.h"

#include <unistd.h>

#include <cstdio>

#include "runtime/communication/waiter.h"

namespace lockstep {

namespace {

constexpr auto kGlance = std::chrono::milliseconds(100);
constexpr double kAbortSeconds = 5;

std::string place_of(const LinkWork& work) {
  std::string text;
  if (work.step >= 0) text += fmt::format(", step {}", work.step);
  if (work.bucket >= 0) text += fmt::format(", bucket {}", work.bucket);
  return text;
}

}  // namespace

LinkWatch::LinkWatch(Communicator& communicator, DeviceLink& link, double patience_seconds)
    : communicator_(communicator), link_(link), patience_seconds_(patience_seconds) {
  const auto ranks = static_cast<std::size_t>(communicator.local_size());
  board_ = communicator.node_memory(ranks * sizeof(StepCounter));
  const std::span<StepCounter> counters(reinterpret_cast<StepCounter*>(board_.bytes.data()), ranks);
  counters[static_cast<std::size_t>(communicator.local_rank())].publish(1);
  communicator.barrier();
  bool seen = true;
  for (const StepCounter& counter : counters) seen = seen && counter.reached(1);
  if (seen) counters_ = counters;
  begun_ = 1;
  thread_ = std::thread([this] { watch(); });
}

LinkWatch::~LinkWatch() {
  {
    const std::lock_guard lock(mutex_);
    leaving_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void LinkWatch::begin(const LinkWork& work) {
  last_ = work;
  ++begun_;
  if (!counters_.empty())
    counters_[static_cast<std::size_t>(communicator_.local_rank())].publish(begun_);
}

void LinkWatch::follow(std::shared_ptr<Event> done) {
  const std::lock_guard lock(mutex_);
  followed_.push_back({last_, begun_, std::move(done), Clock::now()});
}

Error LinkWatch::explain(const std::string& error) const {
  return Error("rank {}{}: {}. Start again with --resume",
               communicator_.job_rank(communicator_.rank()), place_of(last_), error);
}

std::string LinkWatch::late(const Followed& followed) const {
  std::vector<int> behind;
  const int first = communicator_.rank() - communicator_.local_rank();
  for (int local = 0; local < static_cast<int>(counters_.size()); ++local)
    if (!counters_[static_cast<std::size_t>(local)].reached(followed.number))
      behind.push_back(communicator_.job_rank(first + local));
  const LinkWork& work = followed.work;
  if (!behind.empty()) {
    const std::string what =
        work.bucket < 0 ? work.what : fmt::format("{} (bucket {})", work.what, work.bucket);
    return late_error(behind, what, work.step, patience_seconds_).what();
  }
  return fmt::format(
      "rank {}{}: the other ranks have not {} over {} for {:.3g} s: is a rank of another node "
      "stopped, or the network down? Look at the job's processes, and start again with --resume",
      communicator_.job_rank(communicator_.rank()), place_of(work), work.what, link_.description(),
      patience_seconds_);
}

std::string LinkWatch::trouble() {
  while (!followed_.empty() && followed_.front().done->reached()) followed_.pop_front();
  const std::string error = link_.error();
  if (!error.empty())
    return fmt::format("rank {}{}: {}. Start again with --resume",
                       communicator_.job_rank(communicator_.rank()),
                       followed_.empty() ? "" : place_of(followed_.front().work), error);
  if (followed_.empty()) return "";
  const std::chrono::duration<double> waited = Clock::now() - followed_.front().since;
  return waited.count() < patience_seconds_ ? "" : late(followed_.front());
}

void LinkWatch::watch() {
  std::unique_lock lock(mutex_);
  while (!leaving_) {
    changed_.wait_for(lock, kGlance);
    std::string message;
    try {
      message = trouble();
    } catch (const Error& error) {  // of the device, which the rank's own thread meets as well
      continue;
    }
    if (!leaving_ && !message.empty()) give_up(message);
  }
}

void LinkWatch::give_up(const std::string& message) {
  if (communicator_.announce_failure()) {
    std::fprintf(stderr, "%s\n", message.c_str());
    std::fflush(stderr);
  }
  link_.abort(kAbortSeconds);
  _exit(1);
}

}  // namespace lockstep
