// Memory that the ranks of an emulated NCCL communicator share, in one process or in several on one
// machine: who has come and who has left, and for every two ranks a pipe each way.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "runtime/communication/nccl/nccl_api.h"

namespace lockstep::emulation {

class NcclSegment {
 public:
  static constexpr int kMostRanks = 16;

  // Finds or makes the segment of this id, and says that `rank` has come. Throws Error.
  NcclSegment(const nccl::Id& id, int rank, int ranks);
  ~NcclSegment();
  NcclSegment(const NcclSegment&) = delete;
  NcclSegment& operator=(const NcclSegment&) = delete;

  bool all_here() const;
  void leave(bool in_order);  // this rank; nobody reads what it has not written
  // A rank that failed, or whose process is gone; -1 where there is none.
  int lost_rank() const;

  // As many bytes as there is room for, or as have come; never wait.
  std::size_t write(int to, const std::byte* bytes, std::size_t count);
  std::size_t read(int from, std::byte* bytes, std::size_t count);

 private:
  struct Pipe;
  struct Memory;
  Pipe& pipe(int from, int to) const;

  std::string name_;
  int rank_, ranks_;
  Memory* memory_ = nullptr;
};

}  // namespace lockstep::emulation
