// What the plug-in asks of NCCL, call by call. Two implementations: nccl_api.cc calls libnccl; the
// tests' twin (tests/emulation/nccl_twin.cc) moves bytes between ranks on one machine. No header of
// NCCL's is needed to include this one. Communicators never block: a call may return kInProgress,
// and then nothing has reached the stream before state() of that communicator says kDone.
#pragma once

#include <array>
#include <cstddef>
#include <string>

// NCCL's and CUDA's own names for what stands behind ncclComm_t and cudaStream_t.
struct ncclComm;
struct CUstream_st;

namespace lockstep::nccl {

using Comm = ncclComm*;
using Queue = CUstream_st*;
using Id = std::array<char, 128>;

enum class State { kDone, kInProgress, kFailed };
struct Outcome {
  State state = State::kDone;
  std::string text = {};  // "ncclRemoteError: ...", where it failed
};

enum class Element { kByte, kFloat32, kBFloat16 };

int version();  // 22809 is 2.28.9
Outcome make_id(Id& id);
Outcome init(Comm& comm, int rank, int ranks, const Id& id);
// Of the last call, and what has happened since; from any thread.
Outcome state(Comm comm);

Outcome group_start();
Outcome group_end();
Outcome send(const void* memory, std::size_t bytes, int peer, Comm comm, Queue queue);
Outcome receive(void* memory, std::size_t bytes, int peer, Comm comm, Queue queue);
Outcome all_to_all(const void* parts, void* received, std::size_t bytes_of_part, Comm comm,
                   Queue queue);
Outcome all_gather(const void* part, void* whole, std::size_t bytes_of_part, Comm comm,
                   Queue queue);
Outcome all_reduce(void* values, std::size_t count, Element type, Comm comm, Queue queue);

Outcome finalize(Comm comm);  // what was queued ends first; destroy follows
Outcome destroy(Comm comm);
Outcome abort(Comm comm);  // may block; destroys, too

}  // namespace lockstep::nccl
