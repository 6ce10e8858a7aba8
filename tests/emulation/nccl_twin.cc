// NCCL, played: ranks are threads, or processes of one machine, that pass bytes through shared
// memory. As with the real one, a call returns kInProgress, and nothing has reached the stream
// until state() has been asked a few times; work on a stream waits for the other ranks; an error
// sticks.
//
//   EMULATED_NCCL_VERSION=22809,22700     by rank of the job
//   EMULATED_NCCL_FAIL=1:40:some text     the 40th call of rank 1 fails so, and all after it
//   EMULATED_NCCL_SIGNAL=1:all-gather:3:19   in its third all-gather rank 1 gets signal 19
//                                         (all-gather | all-to-all | all-reduce | messages)
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <sstream>
#include <string_view>
#include <vector>

#include "kernels/core/error.h"
#include "kernels/core/small_floats.h"
#include "tests/emulation/nccl_segment.h"
#include "tests/emulation/streams.h"

using lockstep::emulation::NcclSegment;
using lockstep::nccl::Element;
using lockstep::nccl::Outcome;
using lockstep::nccl::State;

namespace {

constexpr int kPollsUntilTaken = 3;
constexpr int kTurnsBetweenLooks = 256;  // for lost ranks, while nothing moves

// What streams' work shares with the communicator, which it may outlive.
struct Shared {
  Shared(const lockstep::nccl::Id& id, int own_rank, int all_ranks)
      : segment(id, own_rank, all_ranks), rank(own_rank), ranks(all_ranks) {}

  void fail(const std::string& text) {
    const std::lock_guard lock(mutex);
    if (error.empty()) error = text;
  }
  std::string failure() {
    const std::lock_guard lock(mutex);
    return error;
  }

  NcclSegment segment;
  const int rank, ranks;
  std::mutex mutex;
  std::string error;  // sticky
};

// The work of one call, or of one group, on a stream: messages to and from each rank, in order.
class Transfer {
 public:
  explicit Transfer(std::shared_ptr<Shared> shared)
      : shared_(std::move(shared)),
        sends_(static_cast<std::size_t>(shared_->ranks)),
        receives_(sends_.size()) {}

  void send(int peer, const void* memory, std::size_t bytes) {
    sends_.at(static_cast<std::size_t>(peer))
        .push_back({static_cast<std::byte*>(const_cast<void*>(memory)), bytes});
  }
  void receive(int peer, void* memory, std::size_t bytes) {
    receives_.at(static_cast<std::size_t>(peer))
        .push_back({static_cast<std::byte*>(memory), bytes});
  }
  void at_start(std::function<void()> work) { at_start_.push_back(std::move(work)); }
  void at_end(std::function<void()> work) { at_end_ = std::move(work); }

  bool advance() {
    if (!shared_->failure().empty()) return true;
    for (const auto& work : std::exchange(at_start_, {})) work();
    bool moves = false, open = false;
    for (std::size_t peer = 0; peer < sends_.size(); ++peer) {
      const int number = static_cast<int>(peer);
      moves |= drain(sends_[peer],
                     [&](Piece& p) { return shared_->segment.write(number, p.at, p.bytes); });
      moves |= drain(receives_[peer],
                     [&](Piece& p) { return shared_->segment.read(number, p.at, p.bytes); });
      open |= !sends_[peer].empty() || !receives_[peer].empty();
    }
    if (!open && at_end_) at_end_();
    idle_ = moves ? 0 : idle_ + 1;
    if (open && idle_ % kTurnsBetweenLooks == kTurnsBetweenLooks - 1) look_for_lost();
    return !open;
  }

 private:
  struct Piece {
    std::byte* at;
    std::size_t bytes;
  };

  template <typename Move>
  static bool drain(std::deque<Piece>& pieces, const Move& move) {
    bool moves = false;
    while (!pieces.empty()) {
      Piece& first = pieces.front();
      const std::size_t n = move(first);
      moves |= n > 0;
      first.at += n;
      first.bytes -= n;
      if (first.bytes == 0)
        pieces.pop_front();
      else if (n == 0)
        break;
    }
    return moves;
  }

  void look_for_lost() {
    const int lost = shared_->segment.lost_rank();
    if (lost >= 0) shared_->fail(fmt::format("ncclRemoteError: rank {} is gone", lost));
  }

  std::shared_ptr<Shared> shared_;
  std::vector<std::deque<Piece>> sends_, receives_;
  std::vector<std::function<void()>> at_start_;
  std::function<void()> at_end_;
  int idle_ = 0;
};

template <typename T>
void add_rows(const std::vector<std::byte>& rows, std::size_t count, std::size_t ranks, T* sum) {
  for (std::size_t i = 0; i < count; ++i) {
    float total = 0;
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      T value;
      std::memcpy(&value, rows.data() + (rank * count + i) * sizeof(T), sizeof(T));
      if constexpr (sizeof(T) == 2)
        total += lockstep::from_bfloat16(value);
      else
        total += value;
    }
    if constexpr (sizeof(T) == 2)
      sum[i] = lockstep::to_bfloat16(total);
    else
      sum[i] = total;
  }
}

}  // namespace

struct ncclComm {
  std::shared_ptr<Shared> shared;
  std::vector<std::function<void()>> pending;  // that a stream is to be given
  int polls_left = 0;
  int calls = 0, fails_at = 0;
  std::string fails_with;
  std::string signalled_in;  // that kind of call
  int calls_until_signal = 0, signal = 0;
};

namespace lockstep::nccl {

namespace {

struct Group {
  int depth = 0;
  Comm comm = nullptr;
  Queue queue = nullptr;
  std::shared_ptr<Transfer> transfer;
};
thread_local Group group;

constexpr std::string_view kMessages = "messages";  // alone, and of a group

Outcome failed(const std::string& text) {
  return {State::kFailed, text};
}

// Counts the call; it fails where that was asked for.
Outcome enter(Comm comm, std::string_view kind) {
  if (kind == comm->signalled_in && --comm->calls_until_signal == 0) ::raise(comm->signal);
  if (++comm->calls == comm->fails_at) comm->shared->fail(comm->fails_with);
  const std::string error = comm->shared->failure();
  return error.empty() ? Outcome{} : failed(error);
}

Outcome take(Comm comm, Queue queue, std::string_view kind, std::shared_ptr<Transfer> transfer) {
  const Outcome entered = enter(comm, kind);
  if (entered.state == State::kFailed) return entered;
  comm->pending.push_back([queue, transfer = std::move(transfer)] {
    queue->enqueue_shared("nccl", [transfer] { return transfer->advance(); });
  });
  comm->polls_left = kPollsUntilTaken;
  return {State::kInProgress};
}

// Sends and receives of a group go together; alone, each is work of its own.
Outcome add(Comm comm, Queue queue, std::string_view kind,
            const std::function<void(Transfer&)>& fill) {
  if (group.depth == 0) {
    auto transfer = std::make_shared<Transfer>(comm->shared);
    fill(*transfer);
    return take(comm, queue, kind, std::move(transfer));
  }
  if (group.transfer == nullptr)
    group = {group.depth, comm, queue, std::make_shared<Transfer>(comm->shared)};
  if (group.comm != comm || group.queue != queue)
    return failed("ncclInvalidUsage: the twin's groups have one communicator and one stream");
  fill(*group.transfer);
  return {};
}

void read_faults(ncclComm& comm, int rank) {
  const char* const text = std::getenv("EMULATED_NCCL_FAIL");
  if (text == nullptr) return;
  std::istringstream stream(text);
  std::string which, call;
  std::getline(stream, which, ':');
  std::getline(stream, call, ':');
  if (std::stoi(which) != rank) return;
  comm.fails_at = std::stoi(call);
  std::getline(stream, comm.fails_with);
}

void read_signals(ncclComm& comm, int rank) {
  const char* const text = std::getenv("EMULATED_NCCL_SIGNAL");
  if (text == nullptr) return;
  std::istringstream stream(text);
  std::string which, call, signal;
  std::getline(stream, which, ':');
  std::getline(stream, comm.signalled_in, ':');
  std::getline(stream, call, ':');
  std::getline(stream, signal);
  comm.calls_until_signal = std::stoi(which) == rank ? std::stoi(call) : 0;
  comm.signal = std::stoi(signal);
}

}  // namespace

int version() {
  const char* const versions = std::getenv("EMULATED_NCCL_VERSION");
  const char* const rank = std::getenv("OMPI_COMM_WORLD_RANK");
  std::istringstream list(versions != nullptr ? versions : "22809");
  std::string version;
  for (int r = rank != nullptr ? std::atoi(rank) : 0; r >= 0; --r) std::getline(list, version, ',');
  return std::stoi(version);
}

Outcome make_id(Id& id) {
  id = {};
  std::random_device random;
  const std::string name = fmt::format("{:08x}{:08x}{:08x}", random(), random(), random());
  std::copy(name.begin(), name.end(), id.begin());
  return {};
}

Outcome init(Comm& comm, int rank, int ranks, const Id& id) {
  try {
    auto made = std::make_unique<ncclComm>();
    made->shared = std::make_shared<Shared>(id, rank, ranks);
    made->polls_left = kPollsUntilTaken;
    read_faults(*made, rank);
    read_signals(*made, rank);
    comm = made.release();
    return {State::kInProgress};
  } catch (const Error& error) {
    return failed(error.what());
  }
}

Outcome state(Comm comm) {
  const std::string error = comm->shared->failure();
  if (!error.empty()) return failed(error);
  if (comm->polls_left > 1 || !comm->shared->segment.all_here()) {
    comm->polls_left = std::max(1, comm->polls_left - 1);
    return {State::kInProgress};
  }
  comm->polls_left = 0;
  for (const auto& work : std::exchange(comm->pending, {})) work();
  return {};
}

Outcome group_start() {
  ++group.depth;
  return {};
}

Outcome group_end() {
  if (--group.depth > 0 || group.transfer == nullptr) return {};
  const Group whole = std::exchange(group, {});
  return take(whole.comm, whole.queue, kMessages, whole.transfer);
}

Outcome send(const void* memory, std::size_t bytes, int peer, Comm comm, Queue queue) {
  return add(comm, queue, kMessages,
             [&](Transfer& transfer) { transfer.send(peer, memory, bytes); });
}

Outcome receive(void* memory, std::size_t bytes, int peer, Comm comm, Queue queue) {
  return add(comm, queue, kMessages,
             [&](Transfer& transfer) { transfer.receive(peer, memory, bytes); });
}

Outcome all_to_all(const void* parts, void* received, std::size_t bytes, Comm comm, Queue queue) {
  return add(comm, queue, "all-to-all", [&](Transfer& transfer) {
    const auto* from = static_cast<const std::byte*>(parts);
    auto* to = static_cast<std::byte*>(received);
    for (int peer = 0; peer < comm->shared->ranks; ++peer) {  // itself, too
      transfer.send(peer, from + static_cast<std::size_t>(peer) * bytes, bytes);
      transfer.receive(peer, to + static_cast<std::size_t>(peer) * bytes, bytes);
    }
  });
}

Outcome all_gather(const void* part, void* whole, std::size_t bytes, Comm comm, Queue queue) {
  return add(comm, queue, "all-gather", [&](Transfer& transfer) {
    auto* to = static_cast<std::byte*>(whole);
    std::byte* const own = to + static_cast<std::size_t>(comm->shared->rank) * bytes;
    transfer.at_start([=] {
      if (own != part) std::memmove(own, part, bytes);
    });
    for (int peer = 0; peer < comm->shared->ranks; ++peer) {
      if (peer == comm->shared->rank) continue;
      transfer.send(peer, own, bytes);
      transfer.receive(peer, to + static_cast<std::size_t>(peer) * bytes, bytes);
    }
  });
}

Outcome all_reduce(void* values, std::size_t count, Element type, Comm comm, Queue queue) {
  if (type == Element::kByte) return failed("ncclInvalidArgument: the twin adds up no bytes");
  return add(comm, queue, "all-reduce", [&](Transfer& transfer) {
    const std::size_t bytes = count * (type == Element::kFloat32 ? 4 : 2);
    const auto ranks = static_cast<std::size_t>(comm->shared->ranks);
    auto rows = std::make_shared<std::vector<std::byte>>(ranks * bytes);
    for (int peer = 0; peer < comm->shared->ranks; ++peer) {
      transfer.send(peer, values, bytes);
      transfer.receive(peer, rows->data() + static_cast<std::size_t>(peer) * bytes, bytes);
    }
    transfer.at_end([=] {
      if (type == Element::kFloat32)
        add_rows(*rows, count, ranks, static_cast<float*>(values));
      else
        add_rows(*rows, count, ranks, static_cast<std::uint16_t*>(values));
    });
  });
}

Outcome finalize(Comm comm) {
  const std::string error = comm->shared->failure();
  return error.empty() ? Outcome{} : failed(error);
}

Outcome destroy(Comm comm) {
  comm->shared->segment.leave(true);
  delete comm;
  return {};
}

Outcome abort(Comm comm) {
  comm->shared->fail("aborted");
  comm->shared->segment.leave(false);
  delete comm;
  return {};
}

}  // namespace lockstep::nccl
