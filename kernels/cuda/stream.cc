#include "kernels/cuda/stream.h"

namespace lockstep {

namespace {

class CudaEvent final : public Event {
 public:
  explicit CudaEvent(gpu::RawStream stream) : raw_(gpu::make_event()) {
    try {
      gpu::record(raw_, stream);
    } catch (...) {
      gpu::destroy(raw_);
      throw;
    }
  }
  ~CudaEvent() override { gpu::destroy(raw_); }
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;

  bool reached() const override { return gpu::reached(raw_); }
  void synchronize() override { gpu::synchronize(raw_); }
  gpu::RawEvent raw() const { return raw_; }

 private:
  gpu::RawEvent raw_;
};

class ReachedEvent final : public Event {  // of a rehearsal
 public:
  bool reached() const override { return true; }
  void synchronize() override {}
};

}  // namespace

CudaStream::CudaStream(Device& device, std::shared_ptr<gpu::Arena> arena, gpu::RawStream raw,
                       std::string name)
    : device_(device),
      arena_(std::move(arena)),
      raw_(raw),
      name_(std::move(name)),
      staging_(arena_),
      memory_(StreamMemory::make(arena_)) {}

CudaStream::~CudaStream() {
  if (rehearses()) return;
  try {
    gpu::synchronize(raw_);  // the workspace may still be in use
  } catch (const Error&) {
    // Whoever asked for the work has met this error, or will at the next call of the runtime.
  }
  gpu::destroy(raw_);
}

std::shared_ptr<Event> CudaStream::record() {
  if (rehearses()) return std::make_shared<ReachedEvent>();
  return std::make_shared<CudaEvent>(raw_);
}

void CudaStream::wait(std::shared_ptr<Event> event) {
  if (rehearses()) return;
  if (const auto* ours = dynamic_cast<const CudaEvent*>(event.get())) {
    gpu::wait(raw_, ours->raw());
  } else {
    event->synchronize();  // of the host: what it marks is done before the call returns
  }
}

namespace {

constexpr std::size_t kFaultBytes = gpu::kFaultWords * sizeof(unsigned long long);  // of a kind
constexpr std::size_t kFaultKeyBytes = gpu::kFaultKinds * kFaultBytes;

}  // namespace

void CudaStream::synchronize() {
  if (rehearses()) return;
  if (fault_keys_ == nullptr) {
    gpu::synchronize(raw_);
    return;
  }
  gpu::copy_async(fault_keys_on_host_.get(), fault_keys_.get(), kFaultKeyBytes, raw_);
  gpu::synchronize(raw_);
  throw_faults();
}

gpu::FaultSlot CudaStream::fault_slot(gpu::FaultKind kind, gpu::FaultMessage message) {
  static_assert(gpu::kNoFault == ~0ull, "a slot is cleared by bytes");
  if (fault_keys_ == nullptr) {
    const MemoryUse use("faults of kernels");
    fault_keys_ = arena_->allocate(kFaultKeyBytes);
    fault_keys_on_host_ = arena_->allocate_pinned(kFaultKeyBytes);
    gpu::set_bytes(fault_keys_.get(), 0xFF, kFaultKeyBytes, raw_);
  }
  const auto index = static_cast<std::size_t>(kind);
  fault_messages_[index] = std::move(message);
  return reinterpret_cast<gpu::FaultSlot>(fault_keys_.get()) + index * gpu::kFaultWords;
}

void CudaStream::throw_faults() {
  const auto* words = reinterpret_cast<const unsigned long long*>(fault_keys_on_host_.get());
  for (std::size_t kind = 0; kind < gpu::kFaultKinds; ++kind, words += gpu::kFaultWords) {
    if (words[0] == gpu::kNoFault) continue;
    const gpu::Fault fault{.place = static_cast<std::int64_t>(words[0] >> 32),
                           .value = static_cast<std::int32_t>(words[0] & 0xffffffffu),
                           .sample = static_cast<std::int32_t>(words[1] & 0xffffffffu)};
    gpu::set_bytes(fault_keys_.get() + kind * kFaultBytes, 0xFF, kFaultBytes, raw_);
    throw Error(fault_messages_[kind](fault));
  }
}

void CudaStream::grow(Scratch& scratch, std::size_t bytes, const char* use) {
  if (bytes <= scratch.bytes) return;
  scratch = {};  // once kernels of earlier operations have done with it
  const MemoryUse named(fmt::format("{}, {}", use, name_));
  scratch.memory = arena_->allocate(bytes);
  scratch.bytes = bytes;
}

std::byte* CudaStream::workspace(std::size_t bytes) {
  grow(workspace_, bytes, "workspace");
  return workspace_.memory.get();
}

std::shared_ptr<std::byte> CudaStream::second_workspace(std::size_t bytes) {
  grow(second_workspace_, bytes, "second workspace");
  return second_workspace_.memory;
}

CudaStream& cuda_stream(Stream& stream) {
  auto* const ours = dynamic_cast<CudaStream*>(&stream);
  LOCKSTEP_CHECK(ours != nullptr, "an operation of the CUDA back end on a stream of another");
  return *ours;
}

}  // namespace lockstep
