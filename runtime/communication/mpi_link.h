// MpiLink: the one thin wrapper of MPI's point-to-point calls. All waiting is polling with a limit,
// because MPI's own waits are for ever, and the late ranks are then known by name.
#pragma once

#include <mpi.h>

#include <optional>
#include <string>
#include <vector>

#include "runtime/communication/call_watch.h"
#include "runtime/communication/message_exchange.h"

namespace lockstep {

// Throws Error with the call's name and MPI's own text unless `code` is MPI_SUCCESS.
void check_mpi(int code, const char* call);

class MpiLink final : public MessageLink {
 public:
  // Takes over `communicator` and frees it.
  explicit MpiLink(MPI_Comm communicator);
  ~MpiLink() override;
  MpiLink(const MpiLink&) = delete;
  MpiLink& operator=(const MpiLink&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  // The world's ranks, by which late ones are named; without them, this communicator's own.
  void set_names(std::vector<int> world_ranks) { names_ = std::move(world_ranks); }
  // Both outlive the link; `board` may be null.
  void set_control(const FailureFlag& failure, const WaitBoard* board) {
    failure_ = &failure;
    board_ = board;
  }

  void exchange(std::span<const Message> sends, std::span<const Message> receives,
                const MessagePurpose& purpose) override;
  // MPI_Allreduce. It cannot be interrupted: where the patience ends, the process does.
  void all_reduce(std::span<float> values, const MessagePurpose& purpose) override;
  // Collectives made of it: few and small, so that plain all-to-all costs nothing and names anyone.
  std::vector<std::string> all_gather(const std::string& mine, double patience_seconds);
  void broadcast(std::span<std::byte> data, int root, double patience_seconds);

 private:
  void post(const Message& message, bool sends);
  void wait(const MessagePurpose& purpose);
  std::vector<int> culprits(double patience_seconds);
  void withdraw();

  MPI_Comm communicator_;
  int rank_ = 0, size_ = 1;
  std::vector<int> names_;
  const FailureFlag* failure_ = nullptr;
  const WaitBoard* board_ = nullptr;
  std::vector<MPI_Request> requests_;  // those under way, and who is at their other end
  std::vector<int> peers_;
  std::optional<CallWatch> watch_;  // from the first all_reduce on
};

}  // namespace lockstep
