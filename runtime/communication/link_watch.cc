#include "runtime/communication/link_watch.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "runtime/communication/waiter.h"

namespace lockstep {

namespace {

constexpr auto kGlance = std::chrono::milliseconds(100);
constexpr double kAbortSeconds = 5;
// How long a rank whose job has failed may take to come to its end.
constexpr auto kEnd = std::chrono::seconds(30);
// Many glances: a process that runs has beaten meanwhile.
constexpr auto kStandstill = std::chrono::seconds(2);

// "step 57, bucket 3: "
std::string place_of(const LinkWork& work) {
  std::string text;
  if (work.step >= 0) text = fmt::format("step {}", work.step);
  if (work.bucket >= 0) text += fmt::format("{}bucket {}", text.empty() ? "" : ", ", work.bucket);
  return text.empty() ? "" : text + ": ";
}

}  // namespace

LinkWatch::LinkWatch(Communicator& communicator, DeviceLink& link, double patience_seconds)
    : communicator_(communicator), link_(link), patience_seconds_(patience_seconds) {
  const auto ranks = static_cast<std::size_t>(communicator.local_size());
  board_ = communicator.node_memory(ranks * sizeof(Sign));
  signs_ = {reinterpret_cast<Sign*>(board_.bytes.data()), ranks};
  own_sign().begun = 1;
  communicator.barrier();
  const bool shared =
      std::ranges::all_of(signs_, [](const Sign& sign) { return sign.begun.load() > 0; });
  if (!shared) signs_ = {};
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

LinkWatch::Sign& LinkWatch::own_sign() {
  return signs_[static_cast<std::size_t>(communicator_.local_rank())];
}

void LinkWatch::begin(const LinkWork& work) {
  last_ = work;
  ++begun_;
  if (!signs_.empty()) own_sign().begun = begun_;
}

void LinkWatch::follow(std::shared_ptr<Event> done) {
  const std::lock_guard lock(mutex_);
  followed_.push_back({last_, begun_, std::move(done), Clock::now()});
}

Error LinkWatch::explain(const std::string& error) const {
  LinkWork work = last_;
  work.step = -1;  // which whoever takes the step says
  return Error("{}{}. Start again with --resume", place_of(work), error);
}

std::vector<int> LinkWatch::culprits(std::uint32_t number) const {
  std::vector<int> behind, still;
  std::vector<std::uint32_t> beats;
  for (const Sign& sign : signs_) beats.push_back(sign.beats);
  if (!signs_.empty()) std::this_thread::sleep_for(kStandstill);
  const int first = communicator_.rank() - communicator_.local_rank();
  for (int local = 0; local < std::ssize(signs_); ++local) {
    const Sign& sign = signs_[static_cast<std::size_t>(local)];
    const int name = communicator_.job_rank(first + local);
    if (static_cast<std::int32_t>(sign.begun - number) < 0) behind.push_back(name);
    if (local != communicator_.local_rank() && sign.beats == beats[static_cast<std::size_t>(local)])
      still.push_back(name);
  }
  return behind.empty() ? still : behind;
}

std::string LinkWatch::late(const Followed& followed) const {
  const LinkWork& work = followed.work;
  const std::vector<int> ranks = culprits(followed.number);
  if (!ranks.empty())
    return late_error(ranks,
                      work.bucket < 0 ? std::string(work.what)
                                      : fmt::format("{} (bucket {})", work.what, work.bucket),
                      work.step, patience_seconds_)
        .what();
  return fmt::format(
      "{}the other ranks have not {} over {} for {:.3g} s: is a rank of another node stopped, or "
      "is the network down? Look at the job's processes, and start again with --resume",
      place_of(work), work.what, link_.description(), patience_seconds_);
}

std::string LinkWatch::trouble() {
  while (!followed_.empty() && followed_.front().done->reached()) followed_.pop_front();
  if (!followed_.empty()) communicator_.show_waiting();
  const std::string error = link_.error();
  if (!error.empty())
    return fmt::format("{}{}. Start again with --resume",
                       followed_.empty() ? "" : place_of(followed_.front().work), error);
  if (followed_.empty()) return "";
  const std::chrono::duration<double> waited = Clock::now() - followed_.front().since;
  return waited.count() < patience_seconds_ ? "" : late(followed_.front());
}

void LinkWatch::watch() {
  std::unique_lock lock(mutex_);
  while (!leaving_) {
    changed_.wait_for(lock, kGlance);
    if (!signs_.empty()) ++own_sign().beats;
    if (communicator_.failure_announced()) return let_go(lock);
    std::string message;
    try {
      message = trouble();
    } catch (const Error&) {  // of the device, which the rank's own thread meets as well
      continue;
    }
    if (leaving_ || message.empty()) continue;
    // Whose failure was the first prints its message and ends the job.
    if (!communicator_.announce_failure()) return let_go(lock);
    give_up(message);
  }
}

// Whoever announced the failure has its message.
void LinkWatch::let_go(std::unique_lock<std::mutex>& lock) {
  lock.unlock();
  link_.abort(kAbortSeconds);
  lock.lock();
  if (changed_.wait_for(lock, kEnd, [&] { return leaving_; })) return;
  give_up("the job has failed, and this rank's device does not give up its work");
}

void LinkWatch::give_up(const std::string& message) {
  std::fprintf(stderr, "lockstep: rank %d: %s\n", communicator_.job_rank(communicator_.rank()),
               message.c_str());
  std::fflush(stderr);
  link_.abort(kAbortSeconds);
  _exit(1);
}

}  // namespace lockstep
