// gpu.h by the CUDA runtime.
#include <cuda_runtime_api.h>

#include <array>
#include <atomic>
#include <map>
#include <mutex>

#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/gpu.h"
#include "kernels/cuda/timed_event.h"

namespace lockstep::gpu {

namespace {

// A thread's device is a matter of the CUDA runtime's, and 0 at first. One that has chosen none
// works on what another thread of the process chose last: a rank has one GPU.
std::atomic<int> process_device{0};
thread_local int thread_device = -1;

void ensure_device() {
  if (thread_device < 0) [[unlikely]]
    use_device(process_device.load());
}

// What was queued last on each stream, for messages: an error of a kernel shows in a later call.
class StreamLog {
 public:
  void add(RawStream stream) {
    const std::lock_guard lock(mutex_);
    streams_[stream] = Entry{next_++, {}, 0};
  }
  void remove(RawStream stream) {
    const std::lock_guard lock(mutex_);
    streams_.erase(stream);
  }
  void note(RawStream stream, const char* name) {
    const std::lock_guard lock(mutex_);
    const auto found = streams_.find(stream);
    if (found == streams_.end()) return;
    Entry& entry = found->second;
    entry.last[entry.count++ % entry.last.size()] = name;
  }
  std::string describe(RawStream stream) const {
    const std::lock_guard lock(mutex_);
    const auto found = streams_.find(stream);
    if (found == streams_.end()) return "stream";
    const Entry& entry = found->second;
    std::string text = fmt::format("stream {}", entry.number);
    for (std::size_t i = 0; i < std::min(entry.count, entry.last.size()); ++i)
      text += fmt::format("{}{}", i == 0 ? " (queued last: " : " after ",
                          entry.last[(entry.count - 1 - i) % entry.last.size()]);
    return text + (entry.count == 0 ? "" : ")");
  }

 private:
  struct Entry {
    int number = 0;
    std::array<const char*, 4> last{};
    std::size_t count = 0;
  };
  mutable std::mutex mutex_;
  std::map<RawStream, Entry> streams_;
  int next_ = 0;
};

StreamLog& stream_log() {
  static StreamLog log;
  return log;
}

void check_stream(cudaError_t code, const char* what, RawStream stream) {
  if (code != cudaSuccess) [[unlikely]]
    cuda_failed(code, fmt::format("{} on {}", what, stream_log().describe(stream)));
}

}  // namespace

void use_device(int device) {
  check_cuda(cudaSetDevice(device), "choice of GPU {}", device);
  thread_device = device;
  process_device = device;
}

bool memory_is_host() {
  return false;
}

MemoryInfo memory_info() {
  ensure_device();
  MemoryInfo info;
  check_cuda(cudaMemGetInfo(&info.free, &info.total), "the memory that is free");
  return info;
}

void* allocate(std::size_t bytes) {
  ensure_device();
  void* memory = nullptr;
  const cudaError_t code = cudaMalloc(&memory, std::max<std::size_t>(bytes, 1));
  if (code == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // no error of later calls
    throw NoMemory("out of memory: {} bytes of the GPU's", bytes);
  }
  check_cuda(code, "{} bytes of device memory", bytes);
  return memory;
}

void* allocate_pinned(std::size_t bytes) {
  ensure_device();
  void* memory = nullptr;
  check_cuda(cudaHostAlloc(&memory, std::max<std::size_t>(bytes, 1), cudaHostAllocPortable),
             "{} bytes of pinned host memory (ulimit -l may be too small)", bytes);
  return memory;
}

void free_memory(void* memory) noexcept {
  cudaFree(memory);
}

void free_pinned(void* memory) noexcept {
  cudaFreeHost(memory);
}

void pin(void* memory, std::size_t bytes) {
  ensure_device();
  check_cuda(cudaHostRegister(memory, bytes, cudaHostRegisterPortable),
             "pinning of {} bytes of host memory (ulimit -l may be too small)", bytes);
}

void unpin(void* memory) noexcept {
  cudaHostUnregister(memory);
}

void copy(void* to, const void* from, std::size_t bytes) {
  ensure_device();
  // Our streams and the one that this copy takes do not wait for each other.
  check_cuda(cudaDeviceSynchronize(), "the work before a copy of {} bytes", bytes);
  // Of pageable memory this call may return before the last bytes have arrived on the device.
  check_cuda(cudaMemcpy(to, from, bytes, cudaMemcpyDefault), "copy of {} bytes", bytes);
  check_cuda(cudaStreamSynchronize(cudaStreamLegacy), "copy of {} bytes", bytes);
}

void copy_async(void* to, const void* from, std::size_t bytes, RawStream stream) {
  if (stream == kNoStream) return;
  ensure_device();
  check_stream(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream), "copy", stream);
  stream_log().note(stream, "copy");
}

void set_bytes(void* to, std::uint8_t value, std::size_t bytes, RawStream stream) {
  if (stream == kNoStream) return;
  ensure_device();
  check_stream(cudaMemsetAsync(to, value, bytes, stream), "fill", stream);
  stream_log().note(stream, "fill");
}

RawStream make_stream(StreamPriority priority) {
  ensure_device();
  int least = 0, greatest = 0;
  check_cuda(cudaDeviceGetStreamPriorityRange(&least, &greatest), "the priorities of streams");
  RawStream stream = nullptr;
  check_cuda(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking,
                                          priority == StreamPriority::kHigh ? greatest : least),
             "a new stream");
  stream_log().add(stream);
  return stream;
}

void destroy(RawStream stream) noexcept {
  stream_log().remove(stream);
  cudaStreamDestroy(stream);
}

void synchronize(RawStream stream) {
  ensure_device();
  check_stream(cudaStreamSynchronize(stream), "wait for the work", stream);
}

void finish() noexcept {
  cudaDeviceSynchronize();  // an error is sticky: the next call reports it
}

RawEvent make_event() {
  ensure_device();
  RawEvent event = nullptr;
  check_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "a new event");
  return event;
}

RawEvent make_timed_event() {
  ensure_device();
  RawEvent event = nullptr;
  check_cuda(cudaEventCreate(&event), "a new event");
  return event;
}

double seconds_between(RawEvent begin, RawEvent end) {
  ensure_device();
  float milliseconds = 0;
  check_cuda(cudaEventElapsedTime(&milliseconds, begin, end), "the time between two events");
  return milliseconds * 1e-3;
}

void destroy(RawEvent event) noexcept {
  cudaEventDestroy(event);
}

void record(RawEvent event, RawStream stream) {
  ensure_device();
  check_stream(cudaEventRecord(event, stream), "an event", stream);
}

void wait(RawStream stream, RawEvent event) {
  ensure_device();
  check_stream(cudaStreamWaitEvent(stream, event, 0), "wait for another's event", stream);
}

bool reached(RawEvent event) {
  ensure_device();
  const cudaError_t code = cudaEventQuery(event);
  if (code == cudaErrorNotReady) {
    cudaGetLastError();  // no error, but kept as if it were one
    return false;
  }
  check_cuda(code, "an event's state");
  return true;
}

void synchronize(RawEvent event) {
  ensure_device();
  check_cuda(cudaEventSynchronize(event), "wait for an event");
}

void launch_kernel(RawStream stream, const Launch& launch, const void* kernel, void** arguments) {
  if (stream == kNoStream) return;
  ensure_device();
  constexpr std::size_t kWithoutAsking = 48 << 10;
  if (launch.shared_bytes > kWithoutAsking)
    check_stream(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                      static_cast<int>(launch.shared_bytes)),
                 launch.name, stream);
  const dim3 grid(launch.grid.x, launch.grid.y, launch.grid.z);
  const dim3 block(launch.block.x, launch.block.y, launch.block.z);
  check_stream(cudaLaunchKernel(kernel, grid, block, arguments, launch.shared_bytes, stream),
               launch.name, stream);
  stream_log().note(stream, launch.name);
}

}  // namespace lockstep::gpu
