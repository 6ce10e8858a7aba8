#include "runtime/communication/nccl/nccl_link.h"

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <thread>

namespace lockstep {

namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;
// How long an orderly end may take; then the communicator is given up.
constexpr double kFarewellSeconds = 10;

nccl::Queue queue_of(Stream& stream) {
  void* const queue = stream.native();
  LOCKSTEP_CHECK(queue != nullptr, "NCCL was given a stream of {}", stream.device().description());
  return static_cast<nccl::Queue>(queue);
}

// Polls until NCCL is done, it fails, or the seconds are over: then kInProgress.
nccl::Outcome poll(nccl::Comm comm, nccl::Outcome outcome, double seconds) {
  const Clock::time_point start = Clock::now();
  for (int turn = 0; outcome.state == nccl::State::kInProgress; ++turn) {
    if (Seconds(Clock::now() - start).count() > seconds) break;
    // Work is mostly taken within microseconds; only meeting others takes longer.
    if (turn < 1000)
      std::this_thread::yield();
    else
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    outcome = nccl::state(comm);
  }
  return outcome;
}

}  // namespace

std::string nccl_version_text(int number) {
  return fmt::format("{}.{}.{}", number / 10000, number / 100 % 100, number % 100);
}

NcclLink::NcclLink(const NcclOptions& options) : patience_seconds_(options.patience_seconds) {
  nccl::Id id;
  LOCKSTEP_CHECK(options.id.size() == id.size(), "an id of {} bytes", options.id.size());
  std::memcpy(id.data(), options.id.data(), id.size());
  settle("the meeting of the ranks", nccl::init(comm_, options.rank, options.ranks, id));
}

NcclLink::~NcclLink() {
  if (comm_ == nullptr) return;
  // After a failure the others may never come to an orderly end.
  if (std::uncaught_exceptions() == 0 &&
      poll(comm_, nccl::finalize(comm_), kFarewellSeconds).state == nccl::State::kDone) {
    nccl::destroy(comm_);
    return;
  }
  abort(kFarewellSeconds);
}

std::string NcclLink::description() const {
  return "NCCL " + nccl_version_text(nccl::version());
}

void NcclLink::settle(const char* what, nccl::Outcome outcome) {
  outcome = poll(comm_, std::move(outcome), patience_seconds_);
  if (outcome.state == nccl::State::kInProgress)
    throw Error("NCCL: {} has not come about for {:.3g} s", what, patience_seconds_);
  if (outcome.state == nccl::State::kFailed) throw Error("NCCL: {}: {}", what, outcome.text);
}

void NcclLink::call(const char* what, const std::function<nccl::Outcome()>& call) {
  const std::lock_guard lock(inside_);
  LOCKSTEP_CHECK(comm_ != nullptr, "NCCL: {} after an abort", what);
  settle(what, call());
}

void NcclLink::exchange(Stream& stream, std::span<const DeviceMessage> sends,
                        std::span<const DeviceMessage> receives) {
  const nccl::Queue queue = queue_of(stream);
  call("a group of messages", [&] {
    nccl::Outcome first = nccl::group_start();
    const auto note = [&](nccl::Outcome outcome) {  // the group must be ended all the same
      if (first.state != nccl::State::kFailed) first = std::move(outcome);
    };
    for (const DeviceMessage& message : sends)
      note(nccl::send(message.memory, message.bytes, message.peer, comm_, queue));
    for (const DeviceMessage& message : receives)
      note(nccl::receive(message.memory, message.bytes, message.peer, comm_, queue));
    note(nccl::group_end());
    return first;
  });
}

void NcclLink::all_to_all(Stream& stream, const void* parts, void* received,
                          std::size_t bytes_of_part) {
  const nccl::Queue queue = queue_of(stream);
  call("an all-to-all",
       [&] { return nccl::all_to_all(parts, received, bytes_of_part, comm_, queue); });
}

void NcclLink::all_gather(Stream& stream, const void* part, void* whole,
                          std::size_t bytes_of_part) {
  const nccl::Queue queue = queue_of(stream);
  call("an all-gather", [&] { return nccl::all_gather(part, whole, bytes_of_part, comm_, queue); });
}

void NcclLink::all_reduce(Stream& stream, void* values, std::int64_t count, DType type) {
  LOCKSTEP_CHECK(type == DType::kFloat32 || type == DType::kBFloat16, "a sum of {}", name_of(type));
  const nccl::Queue queue = queue_of(stream);
  call("an all-reduce", [&] {
    return nccl::all_reduce(
        values, static_cast<std::size_t>(count),
        type == DType::kFloat32 ? nccl::Element::kFloat32 : nccl::Element::kBFloat16, comm_, queue);
  });
}

std::string NcclLink::error() {
  const std::unique_lock lock(inside_, std::try_to_lock);
  if (!lock.owns_lock() || comm_ == nullptr) return "";  // a thread inside asks for itself
  const nccl::Outcome outcome = nccl::state(comm_);
  return outcome.state == nccl::State::kFailed ? "NCCL: " + outcome.text : "";
}

// NCCL must not be inside another call meanwhile, and may block in this one, too.
void NcclLink::abort(double seconds) {
  std::unique_lock lock(inside_, std::defer_lock);
  if (!lock.try_lock_for(Seconds(seconds)) || comm_ == nullptr) return;
  struct Meeting {
    std::mutex mutex;
    std::condition_variable changed;
    bool over = false;
  };
  const auto meeting = std::make_shared<Meeting>();
  std::thread([meeting, comm = std::exchange(comm_, nullptr)] {
    nccl::abort(comm);
    const std::lock_guard guard(meeting->mutex);
    meeting->over = true;
    meeting->changed.notify_all();
  }).detach();
  std::unique_lock guard(meeting->mutex);
  meeting->changed.wait_for(guard, Seconds(seconds), [&] { return meeting->over; });
}

}  // namespace lockstep
