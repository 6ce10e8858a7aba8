// NcclLink: the DeviceLink of NCCL. A communicator that never blocks: after every call this thread
// polls until NCCL has put the work on the stream, with a limit, because an event that is recorded
// earlier, or a kernel that is queued earlier, would come before it.
#pragma once

#include <functional>
#include <memory>
#include <mutex>

#include "runtime/communication/nccl/nccl_api.h"
#include "runtime/communication/nccl_library.h"

namespace lockstep {

// "2.28.9" of 22809.
std::string nccl_version_text(int number);

class NcclLink final : public DeviceLink {
 public:
  explicit NcclLink(const NcclOptions& options);
  ~NcclLink() override;
  NcclLink(const NcclLink&) = delete;
  NcclLink& operator=(const NcclLink&) = delete;

  std::string description() const override;
  void exchange(Stream& stream, std::span<const DeviceMessage> sends,
                std::span<const DeviceMessage> receives) override;
  void all_to_all(Stream& stream, const void* parts, void* received,
                  std::size_t bytes_of_part) override;
  void all_gather(Stream& stream, const void* part, void* whole,
                  std::size_t bytes_of_part) override;
  void all_reduce(Stream& stream, void* values, std::int64_t count, DType type) override;
  std::string error() override;
  void abort(double seconds) override;

 private:
  void call(const char* what, const std::function<nccl::Outcome()>& call);
  void settle(const char* what, nccl::Outcome outcome);  // polls; throws

  double patience_seconds_;
  nccl::Comm comm_ = nullptr;
  std::timed_mutex inside_;  // held while a thread is in one of NCCL's calls
};

}  // namespace lockstep
