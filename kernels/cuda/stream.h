// CudaStream: a stream of the GPU with a workspace of its own. Work is queued by the caller:
// submit() runs the function at once, and the operations in it queue kernels. A rehearsal's has no
// stream of the GPU behind it: it asks for memory, and queues nothing.
#pragma once

#include <array>

#include "kernels/core/device.h"
#include "kernels/cuda/arena.h"
#include "kernels/cuda/faults.h"
#include "kernels/cuda/gpu.h"
#include "kernels/cuda/staging.h"
#include "kernels/cuda/stream_memory.h"

namespace lockstep {

class CudaStream final : public Stream {
 public:
  // raw: its own from now on; kNoStream in a rehearsal. Its memory is listed under `name`.
  CudaStream(Device& device, std::shared_ptr<gpu::Arena> arena, gpu::RawStream raw,
             std::string name);
  ~CudaStream() override;  // waits for the work that has been queued
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;

  Device& device() override { return device_; }
  void submit(std::function<void()> work) override { work(); }
  std::shared_ptr<Event> record() override;
  void wait(std::shared_ptr<Event> event) override;
  void synchronize() override;  // throws what kernels have found wrong in their inputs, too
  // Device memory, 256-byte aligned. The first call of a size grows it: warm it up before a step.
  std::byte* workspace(std::size_t bytes) override;

  bool rehearses() const { return raw_ == gpu::kNoStream; }

  // The same, for a result that an operation keeps while what it calls uses the workspace.
  std::shared_ptr<std::byte> second_workspace(std::size_t bytes);

  // Where a kernel that is queued next reports values that it cannot use; `message` makes the Error
  // of the first of them, in the order of the places.
  gpu::FaultSlot fault_slot(gpu::FaultKind kind, gpu::FaultMessage message);

  // For tensors that this stream's work alone uses, and that go before it does.
  StreamMemory& memory() { return *memory_; }
  Staging& staging() { return staging_; }

  // While it is set, optimizers change nothing where the number there, of the device, is 0.
  void set_guard(const double* open) { guard_ = open; }
  const double* guard() const { return guard_; }

  gpu::RawStream raw() const { return raw_; }
  void* native() override { return raw_; }

 private:
  Device& device_;
  std::shared_ptr<gpu::Arena> arena_;
  gpu::RawStream raw_;
  std::string name_;
  struct Scratch {
    std::shared_ptr<std::byte> memory;
    std::size_t bytes = 0;
  };
  void grow(Scratch& scratch, std::size_t bytes, const char* use);
  void throw_faults();

  Scratch workspace_, second_workspace_;
  std::shared_ptr<std::byte> fault_keys_, fault_keys_on_host_;  // null until a kernel needs them
  std::array<gpu::FaultMessage, gpu::kFaultKinds> fault_messages_;
  const double* guard_ = nullptr;
  Staging staging_;
  std::shared_ptr<StreamMemory> memory_;
};

// The CudaStream that a Stream of the CUDA back end is; an Error where it is another's.
CudaStream& cuda_stream(Stream& stream);

}  // namespace lockstep
