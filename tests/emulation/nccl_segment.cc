#include "tests/emulation/nccl_segment.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "kernels/core/error.h"

namespace lockstep::emulation {

struct NcclSegment::Pipe {
  static constexpr std::size_t kBytes = 64 << 10;
  alignas(64) std::atomic<std::uint64_t> written;
  alignas(64) std::atomic<std::uint64_t> read;
  alignas(64) std::byte ring[kBytes];
};

struct NcclSegment::Memory {  // zero at first
  enum State : int { kAbsent, kHere, kLeft, kFailed };
  std::atomic<int> state[kMostRanks];
  std::atomic<int> process[kMostRanks];
  std::atomic<int> here;
  Pipe pipes[kMostRanks * kMostRanks];
};

NcclSegment::NcclSegment(const nccl::Id& id, int rank, int ranks) : rank_(rank), ranks_(ranks) {
  LOCKSTEP_CHECK(0 <= rank && rank < ranks && ranks <= kMostRanks, "rank {} of {}", rank, ranks);
  name_ = "/lockstep-emulated-nccl-" + std::string(id.data(), ::strnlen(id.data(), id.size()));
  const int file = ::shm_open(name_.c_str(), O_CREAT | O_RDWR, 0600);
  if (file < 0) throw Error("{}: {}", name_, std::strerror(errno));
  void* memory = MAP_FAILED;
  if (::ftruncate(file, sizeof(Memory)) == 0)
    memory = ::mmap(nullptr, sizeof(Memory), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  if (memory == MAP_FAILED) throw Error("{}: {}", name_, std::strerror(errno));
  memory_ = static_cast<Memory*>(memory);
  memory_->process[rank] = ::getpid();
  memory_->state[rank] = Memory::kHere;
  if (++memory_->here == ranks) ::shm_unlink(name_.c_str());  // nobody else will look for it
}

NcclSegment::~NcclSegment() {
  if (!all_here()) ::shm_unlink(name_.c_str());
  ::munmap(memory_, sizeof(Memory));
}

bool NcclSegment::all_here() const {
  return memory_->here == ranks_;
}

void NcclSegment::leave(bool in_order) {
  memory_->state[rank_] = in_order ? Memory::kLeft : Memory::kFailed;
}

int NcclSegment::lost_rank() const {
  for (int rank = 0; rank < ranks_; ++rank) {
    if (rank == rank_ || memory_->state[rank] == Memory::kAbsent) continue;
    const bool gone = memory_->state[rank] == Memory::kHere &&
                      ::kill(memory_->process[rank], 0) != 0 && errno == ESRCH;
    if (gone || memory_->state[rank] == Memory::kFailed) return rank;
  }
  return -1;
}

NcclSegment::Pipe& NcclSegment::pipe(int from, int to) const {
  return memory_->pipes[from * kMostRanks + to];
}

std::size_t NcclSegment::write(int to, const std::byte* bytes, std::size_t count) {
  Pipe& p = pipe(rank_, to);
  const std::uint64_t at = p.written.load(std::memory_order_relaxed);
  const std::uint64_t room = Pipe::kBytes - (at - p.read.load(std::memory_order_acquire));
  const std::size_t place = at % Pipe::kBytes;
  const std::size_t n = std::min({count, static_cast<std::size_t>(room), Pipe::kBytes - place});
  std::memcpy(p.ring + place, bytes, n);
  p.written.store(at + n, std::memory_order_release);
  return n;
}

std::size_t NcclSegment::read(int from, std::byte* bytes, std::size_t count) {
  Pipe& p = pipe(from, rank_);
  const std::uint64_t at = p.read.load(std::memory_order_relaxed);
  const std::uint64_t there = p.written.load(std::memory_order_acquire) - at;
  const std::size_t place = at % Pipe::kBytes;
  const std::size_t n = std::min({count, static_cast<std::size_t>(there), Pipe::kBytes - place});
  std::memcpy(bytes, p.ring + place, n);
  p.read.store(at + n, std::memory_order_release);
  return n;
}

}  // namespace lockstep::emulation
