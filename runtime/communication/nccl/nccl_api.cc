#include "runtime/communication/nccl/nccl_api.h"

#include <nccl.h>

#include <cstring>

#include <fmt/format.h>

namespace lockstep::nccl {

namespace {

const char* name_of(ncclResult_t code) {
  switch (code) {
    case ncclSuccess:
      return "ncclSuccess";
    case ncclUnhandledCudaError:
      return "ncclUnhandledCudaError";
    case ncclSystemError:
      return "ncclSystemError";
    case ncclInternalError:
      return "ncclInternalError";
    case ncclInvalidArgument:
      return "ncclInvalidArgument";
    case ncclInvalidUsage:
      return "ncclInvalidUsage";
    case ncclRemoteError:
      return "ncclRemoteError";
    case ncclInProgress:
      return "ncclInProgress";
    default:
      return "an error";
  }
}

Outcome outcome(ncclResult_t code, Comm comm = nullptr) {
  if (code == ncclSuccess) return {};
  if (code == ncclInProgress) return {State::kInProgress};
  const char* const last = ncclGetLastError(comm);
  const bool says_more = last != nullptr && last[0] != '\0';
  return {State::kFailed, fmt::format("{}: {}{}{}", name_of(code), ncclGetErrorString(code),
                                      says_more ? "; " : "", says_more ? last : "")};
}

}  // namespace

int version() {
  int number = 0;
  return ncclGetVersion(&number) == ncclSuccess ? number : 0;
}

Outcome make_id(Id& id) {
  static_assert(sizeof(ncclUniqueId) == sizeof(Id));
  ncclUniqueId theirs;
  const Outcome result = outcome(ncclGetUniqueId(&theirs));
  std::memcpy(id.data(), &theirs, sizeof theirs);
  return result;
}

Outcome init(Comm& comm, int rank, int ranks, const Id& id) {
  ncclUniqueId theirs;
  std::memcpy(&theirs, id.data(), sizeof theirs);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  return outcome(ncclCommInitRankConfig(&comm, ranks, theirs, rank, &config));
}

Outcome state(Comm comm) {
  ncclResult_t of_comm = ncclSuccess;
  const ncclResult_t code = ncclCommGetAsyncError(comm, &of_comm);
  return outcome(code != ncclSuccess ? code : of_comm, comm);
}

Outcome group_start() {
  return outcome(ncclGroupStart());
}

Outcome group_end() {
  return outcome(ncclGroupEnd());
}

Outcome send(const void* memory, std::size_t bytes, int peer, Comm comm, Queue queue) {
  return outcome(ncclSend(memory, bytes, ncclInt8, peer, comm, queue), comm);
}

Outcome receive(void* memory, std::size_t bytes, int peer, Comm comm, Queue queue) {
  return outcome(ncclRecv(memory, bytes, ncclInt8, peer, comm, queue), comm);
}

Outcome all_to_all(const void* parts, void* received, std::size_t bytes_of_part, Comm comm,
                   Queue queue) {
  return outcome(ncclAlltoAll(parts, received, bytes_of_part, ncclInt8, comm, queue), comm);
}

Outcome all_gather(const void* part, void* whole, std::size_t bytes_of_part, Comm comm,
                   Queue queue) {
  return outcome(ncclAllGather(part, whole, bytes_of_part, ncclInt8, comm, queue), comm);
}

Outcome all_reduce(void* values, std::size_t count, Element type, Comm comm, Queue queue) {
  const ncclDataType_t theirs = type == Element::kBFloat16  ? ncclBfloat16
                                : type == Element::kFloat32 ? ncclFloat32
                                                            : ncclInt8;
  return outcome(ncclAllReduce(values, values, count, theirs, ncclSum, comm, queue), comm);
}

Outcome finalize(Comm comm) {
  return outcome(ncclCommFinalize(comm), comm);
}

Outcome destroy(Comm comm) {
  return outcome(ncclCommDestroy(comm));
}

Outcome abort(Comm comm) {
  return outcome(ncclCommAbort(comm));
}

}  // namespace lockstep::nccl
