// What the CUDA back end asks of the CUDA runtime, and nothing else of it: memory, copies, streams,
// events, launches. Two implementations: gpu_cudart.cc calls the runtime; the tests' emulation
// (tests/emulation) plays a GPU on the CPU. Every function throws Error, which names what was asked
// for, where it came from (the operation, bytes, a kernel's name) and CUDA's own text; those that
// end something (free, destroy) never throw. No header of CUDA's is needed to include this one.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/core/error.h"

// CUDA's own names for what stands behind cudaStream_t and cudaEvent_t.
struct CUstream_st;
struct CUevent_st;

namespace lockstep::gpu {

using RawStream = CUstream_st*;
using RawEvent = CUevent_st*;

// In place of a stream: nothing is queued. Copies, fills and launches do nothing then.
inline constexpr RawStream kNoStream = nullptr;

struct Extent {  // of a grid, in blocks, or of a block, in threads
  unsigned x = 1, y = 1, z = 1;
};

// ---- device of the calling thread; every other function works on it
void use_device(int device);

// ---- memory, 256-byte aligned; a size of 0 is as good as any
class NoMemory : public Error {
 public:
  using Error::Error;
};
struct MemoryInfo {  // of the whole device, whoever has it
  std::size_t free = 0, total = 0;
};
MemoryInfo memory_info();
bool memory_is_host();                     // as the tests' emulated GPU has it
void* allocate(std::size_t bytes);         // throws NoMemory where there is none left
void* allocate_pinned(std::size_t bytes);  // of the host, readable and writable by the device
void free_memory(void* memory) noexcept;   // null: nothing happens
void free_pinned(void* memory) noexcept;
void pin(void* memory, std::size_t bytes);  // the host's, of any owner
void unpin(void* memory) noexcept;

// ---- copies in any direction between device, pinned and plain host memory
// After all that was queued on any stream; blocks until it is done.
void copy(void* to, const void* from, std::size_t bytes);
void copy_async(void* to, const void* from, std::size_t bytes, RawStream stream);
void set_bytes(void* to, std::uint8_t value, std::size_t bytes, RawStream stream);

// ---- streams: none waits for the default stream
enum class StreamPriority { kNormal, kHigh };
RawStream make_stream(StreamPriority priority = StreamPriority::kNormal);
void destroy(RawStream stream) noexcept;
void synchronize(RawStream stream);  // blocks; throws what the stream's work met
void finish() noexcept;              // blocks until all streams are idle

// ---- events, without timing
RawEvent make_event();
void destroy(RawEvent event) noexcept;
void record(RawEvent event, RawStream stream);
void wait(RawStream stream, RawEvent event);  // later work of the stream starts after the event
bool reached(RawEvent event);                 // never blocks
void synchronize(RawEvent event);

// ---- launches. `kernel` is the address of a __global__ function, arguments[i] that of its i-th
// argument, copied before the call returns. Kernel files call launch() of kernel.h instead, which
// makes this call on a GPU and runs the function's body in the emulation.
struct Launch {
  const char* name = "";  // of the operation, for messages
  Extent grid, block;
  std::size_t shared_bytes = 0;  // dynamic shared memory, beyond 48 KB too
};
void launch_kernel(RawStream stream, const Launch& launch, const void* kernel, void** arguments);

}  // namespace lockstep::gpu
