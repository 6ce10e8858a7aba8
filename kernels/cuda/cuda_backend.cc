// A GPU as a device: its memory, copies, streams.
#include "kernels/cuda/cuda_backend.h"

#include <cstring>

#include "kernels/cuda/backend_impl.h"

namespace lockstep {

namespace {

std::size_t bytes_of(const Shape& shape, DType type) {
  return static_cast<std::size_t>(shape.elements()) * size_of(type);
}

void check_copy(const Tensor& from, const Tensor& to) {
  LOCKSTEP_CHECK(from.dtype() == to.dtype() && from.elements() == to.elements(),
                 "copy of {} {} to {} {}", name_of(from.dtype()), from.shape().to_string(),
                 name_of(to.dtype()), to.shape().to_string());
}

}  // namespace

std::unique_ptr<Backend> make_cuda_backend(const CudaDevice& device,
                                           std::unique_ptr<gpu::Libraries> libraries,
                                           DType activation_type) {
  return std::make_unique<CudaBackend>(device, std::move(libraries), activation_type);
}

CudaBackend::CudaBackend(const CudaDevice& device, std::unique_ptr<gpu::Libraries> libraries,
                         DType activation_type)
    : device_(device),
      isa_(fmt::format("sm_{}{}", device.major, device.minor)),
      libraries_(std::move(libraries)),
      activation_type_(activation_type),
      arena_(gpu::Arena::make(gpu::Arena::Kind::kReal)) {
  gpu::use_device(device_.index);
}

CudaBackend::CudaBackend(const CudaBackend& other)
    : device_(other.device_),
      isa_(other.isa_),
      rehearses_(true),
      libraries_(other.libraries_),
      activation_type_(other.activation_type_),
      arena_(gpu::Arena::make(gpu::Arena::Kind::kRehearsed)) {}

std::string CudaBackend::description() const {
  return fmt::format("{}, {}, {}", device_.name, isa_, libraries_->versions());
}

std::string_view CudaBackend::isa() const {
  return isa_;
}

Tensor CudaBackend::empty(const Shape& shape, DType type) {
  return Tensor(arena_->allocate(bytes_of(shape, type)), shape, type, this);
}

Tensor CudaBackend::zeros(const Shape& shape, DType type) {
  Tensor result = empty(shape, type);
  const auto stream = make_stream(0);
  gpu::set_bytes(result.raw(), 0, result.bytes(), cuda_stream(*stream).raw());
  stream->synchronize();
  return result;
}

// Its device is none: the host reads it, and to_host() gives it as it is.
Tensor CudaBackend::empty_pinned(const Shape& shape, DType type) {
  return Tensor(arena_->allocate_pinned(bytes_of(shape, type)), shape, type, nullptr);
}

std::shared_ptr<void> CudaBackend::pin(std::span<std::byte> memory) {
  if (memory.empty() || rehearses_) return nullptr;
  gpu::pin(memory.data(), memory.size());
  return {memory.data(), [](void* pinned) { gpu::unpin(pinned); }};
}

void CudaBackend::copy(const Tensor& from, Tensor& to) {
  check_copy(from, to);
  if (!rehearses_)
    gpu::copy(to.raw(), from.raw(), from.bytes());
  else if (to.device() == nullptr)
    std::memset(to.raw(), 0, to.bytes());
}

void CudaBackend::copy_async(Stream& stream, const Tensor& from, Tensor& to) {
  check_copy(from, to);
  gpu::copy_async(to.raw(), from.raw(), from.bytes(), cuda_stream(stream).raw());
}

Tensor CudaBackend::to_host(const Tensor& tensor) {
  Tensor host = empty_pinned(tensor.shape(), tensor.dtype());
  copy(tensor, host);
  return host;
}

Tensor CudaBackend::upload(Stream& stream, const Tensor& host) {
  if (!host.defined()) return host;
  Tensor there(cuda_stream(stream).memory().allocate(bytes_of(host.shape(), host.dtype())),
               host.shape(), host.dtype(), this);
  cuda_stream(stream).staging().upload(cuda_stream(stream).raw(), host.raw(), there.raw(),
                                       host.bytes());
  return there;
}

std::unique_ptr<Stream> CudaBackend::make_stream(int index) {
  LOCKSTEP_CHECK(index >= 0, "stream {}", index);
  return std::make_unique<CudaStream>(
      *this, arena_, rehearses_ ? gpu::kNoStream : gpu::make_stream(gpu::StreamPriority::kNormal),
      fmt::format("stream {}", index));
}

std::unique_ptr<Stream> CudaBackend::make_urgent_stream() {
  return std::make_unique<CudaStream>(
      *this, arena_, rehearses_ ? gpu::kNoStream : gpu::make_stream(gpu::StreamPriority::kHigh),
      "urgent stream");
}

}  // namespace lockstep
