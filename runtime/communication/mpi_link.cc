#include "runtime/communication/mpi_link.h"

#include <sched.h>

#include <algorithm>
#include <exception>
#include <numeric>
#include <thread>

namespace lockstep {

namespace {

using Clock = std::chrono::steady_clock;
constexpr int kTag = 1;
constexpr std::size_t kChunk = std::size_t{1} << 30;  // MPI counts in int
// Open MPI moves large messages only while somebody polls, so that naps come late and are short.
constexpr auto kBusy = std::chrono::microseconds(50);
constexpr auto kYielding = std::chrono::milliseconds(50);
constexpr auto kNap = std::chrono::microseconds(200);
// Ranks of other nodes show no board: a stopped one may have left one of two peers behind, for
// which the other then waits too. Who knows a single culprit speaks first.
constexpr double kPatienceForSeveral = 1.25;

}  // namespace

void check_mpi(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw Error("{}: {}", call, std::string(text, static_cast<std::size_t>(length)));
}

MpiLink::MpiLink(MPI_Comm communicator) : communicator_(communicator) {
  check_mpi(MPI_Comm_set_errhandler(communicator_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  check_mpi(MPI_Comm_rank(communicator_, &rank_), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(communicator_, &size_), "MPI_Comm_size");
  names_.resize(static_cast<std::size_t>(size_));
  std::iota(names_.begin(), names_.end(), 0);
}

MpiLink::~MpiLink() {
  // Freeing may wait for the others, who do not come when an exception ends this rank.
  if (std::uncaught_exceptions() == 0) MPI_Comm_free(&communicator_);
}

void MpiLink::post(const Message& message, bool sends) {
  for (std::size_t done = 0; done < message.bytes.size(); done += kChunk) {
    std::byte* data = message.bytes.data() + done;
    const int count = static_cast<int>(std::min(kChunk, message.bytes.size() - done));
    requests_.push_back(MPI_REQUEST_NULL);
    peers_.push_back(message.peer);
    if (sends)
      check_mpi(
          MPI_Isend(data, count, MPI_BYTE, message.peer, kTag, communicator_, &requests_.back()),
          "MPI_Isend");
    else
      check_mpi(
          MPI_Irecv(data, count, MPI_BYTE, message.peer, kTag, communicator_, &requests_.back()),
          "MPI_Irecv");
  }
}

void MpiLink::exchange(std::span<const Message> sends, std::span<const Message> receives,
                       const MessagePurpose& purpose) {
  requests_.clear();
  peers_.clear();
  try {
    for (const Message& message : receives) post(message, false);
    for (const Message& message : sends) post(message, true);
    wait(purpose);
  } catch (...) {
    withdraw();
    throw;
  }
}

void MpiLink::all_reduce(std::span<float> values, const MessagePurpose& purpose) {
  if (failure_ != nullptr) failure_->check();
  if (!watch_) watch_.emplace();
  const std::string message = fmt::format(
      "lockstep: rank {}: MPI_Allreduce in step {} has not returned for {:.3g} s: a rank is "
      "stopped, "
      "or its host is gone. Look at the job's hosts, and start again with --resume",
      names_[static_cast<std::size_t>(rank_)], purpose.step, purpose.patience_seconds);
  watch_->run(
      [&] {
        for (std::size_t done = 0; done < values.size(); done += kChunk) {
          const int count = static_cast<int>(std::min(kChunk, values.size() - done));
          check_mpi(MPI_Allreduce(MPI_IN_PLACE, values.data() + done, count, MPI_FLOAT, MPI_SUM,
                                  communicator_),
                    "MPI_Allreduce");
        }
      },
      purpose.patience_seconds, message);
}

void MpiLink::wait(const MessagePurpose& purpose) {
  const Clock::time_point start = Clock::now();
  while (true) {
    int done = 0;
    check_mpi(MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &done,
                          MPI_STATUSES_IGNORE),
              "MPI_Testall");
    if (done != 0) return;
    if (failure_ != nullptr) failure_->check();
    const Clock::duration waited = Clock::now() - start;
    const double seconds = std::chrono::duration<double>(waited).count();
    if (seconds > purpose.patience_seconds) {
      std::vector<int> late = culprits(purpose.patience_seconds);
      if (late.size() == 1 || seconds > kPatienceForSeveral * purpose.patience_seconds)
        throw late_error(std::move(late), purpose.what, purpose.step, purpose.patience_seconds);
    }
    if (waited > kYielding) {
      if (board_ != nullptr) board_->sign();
      std::this_thread::sleep_for(kNap);
    } else if (waited > kBusy) {
      sched_yield();
    }
  }
}

// Who is at the other end of what is unfinished, without those that wait for others.
std::vector<int> MpiLink::culprits(double patience_seconds) {
  std::vector<int> late;
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    int done = 0;
    check_mpi(MPI_Test(&requests_[i], &done, MPI_STATUS_IGNORE), "MPI_Test");
    if (done == 0) late.push_back(names_[static_cast<std::size_t>(peers_[i])]);
  }
  return board_ == nullptr ? late : board_->culprits(std::move(late), patience_seconds);
}

// The buffers go away with the exception, and MPI must not write to them while the job is ended.
void MpiLink::withdraw() {
  for (MPI_Request& request : requests_) {
    if (request == MPI_REQUEST_NULL) continue;
    MPI_Cancel(&request);
    MPI_Request_free(&request);
  }
}

std::vector<std::string> MpiLink::all_gather(const std::string& mine, double patience_seconds) {
  const MessagePurpose purpose{"come to a collective call", -1, patience_seconds};
  const auto to_all = [&](std::span<std::byte> own, auto&& of_peer) {
    std::vector<Message> sends, receives;
    for (int peer = 0; peer < size_; ++peer) {
      if (peer == rank_) continue;
      sends.push_back({peer, own});
      receives.push_back({peer, of_peer(static_cast<std::size_t>(peer))});
    }
    exchange(sends, receives, purpose);
  };
  std::vector<std::uint64_t> lengths(static_cast<std::size_t>(size_), mine.size());
  std::uint64_t length = mine.size();
  to_all(std::as_writable_bytes(std::span(&length, 1)),
         [&](std::size_t peer) { return std::as_writable_bytes(std::span(&lengths[peer], 1)); });
  std::vector<std::string> all(static_cast<std::size_t>(size_));
  for (std::size_t rank = 0; rank < all.size(); ++rank) all[rank].resize(lengths[rank]);
  std::string& own = all[static_cast<std::size_t>(rank_)];
  own = mine;
  to_all(std::as_writable_bytes(std::span(own)),
         [&](std::size_t peer) { return std::as_writable_bytes(std::span(all[peer])); });
  return all;
}

void MpiLink::broadcast(std::span<std::byte> data, int root, double patience_seconds) {
  std::vector<Message> sends, receives;
  if (rank_ != root) {
    receives.push_back({root, data});
  } else {
    for (int peer = 0; peer < size_; ++peer)
      if (peer != root) sends.push_back({peer, data});
  }
  exchange(sends, receives, {"come to a broadcast", -1, patience_seconds});
}

}  // namespace lockstep
