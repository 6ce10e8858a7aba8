// The CPU as a device: host memory, copies, streams.
#include "kernels/cpu/cpu_backend.h"

#include <sched.h>

#include <cstring>
#include <fstream>

#include "kernels/cpu/backend_impl.h"
#include "kernels/cpu/memory.h"
#include "kernels/cpu/stream.h"

namespace lockstep {

namespace {

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "CPU";  // Arm's cpuinfo has numbers only
}

std::string_view note_of(Products products) {
  switch (products) {
    case Products::kFloat32:
      return "";
    case Products::kBFloat16Dots:
      return ", bfloat16 by vdpbf16ps";
    case Products::kBFloat16Fma:
      return ", bfloat16 by float32 multiply-adds";
  }
  throw Error("unknown kind of products {}", static_cast<int>(products));
}

int processors_allowed() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(Isa isa, Products products) {
  return std::make_unique<CpuBackend>(isa, products);
}

CpuBackend::CpuBackend(Isa isa, Products products)
    : isa_(isa),
      products_kind_(products),
      vector_(vector_kernels(isa)),
      gemm_(gemm_kernels(isa)),
      products_(product_kernels(isa, products)),
      winograd_(winograd_kernels(isa)),
      depthwise_(depthwise_kernels(isa)) {}

std::string CpuBackend::description() const {
  return fmt::format("{}, {}{}", processor_name(), name_of(isa_), note_of(products_kind_));
}

std::string_view CpuBackend::isa() const {
  return name_of(isa_);
}

Tensor CpuBackend::empty(const Shape& shape, DType type) {
  const auto bytes = static_cast<std::size_t>(shape.elements()) * size_of(type);
  return Tensor(allocate_host(bytes), shape, type, this);
}

Tensor CpuBackend::zeros(const Shape& shape, DType type) {
  Tensor result = empty(shape, type);
  std::memset(result.raw(), 0, result.bytes());
  return result;
}

Tensor CpuBackend::empty_pinned(const Shape& shape, DType type) {
  return empty(shape, type);
}

void CpuBackend::copy(const Tensor& from, Tensor& to) {
  LOCKSTEP_CHECK(from.dtype() == to.dtype() && from.elements() == to.elements(),
                 "copy of {} {} to {} {}", name_of(from.dtype()), from.shape().to_string(),
                 name_of(to.dtype()), to.shape().to_string());
  std::memmove(to.raw(), from.raw(), from.bytes());
}

void CpuBackend::copy_async(Stream&, const Tensor& from, Tensor& to) {
  copy(from, to);
}

Tensor CpuBackend::to_host(const Tensor& tensor) {
  return tensor;
}

std::unique_ptr<Stream> CpuBackend::make_stream(int index) {
  LOCKSTEP_CHECK(index >= 0, "stream {}", index);
  CpuStreamOptions options;
  options.own_thread = index > 0;
  // With more threads than processors, who spins keeps another from working.
  if (index >= processors_allowed()) options.spin = std::chrono::microseconds(0);
  return std::make_unique<CpuStream>(*this, options);
}

}  // namespace lockstep
