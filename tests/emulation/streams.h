// The emulated GPU's streams. Work runs at once, as it is queued; or, interleaved, as late as the
// host's waits allow and in a seeded random order of the streams, which respects nothing but the
// order within a stream and the events that were waited for: a missing wait shows.
//
// Work that waits for other ranks goes on while the host does something else: from the first such
// work on, a thread of the emulated GPU's own runs what can run.
#pragma once

#include <functional>

#include "kernels/cuda/gpu.h"

// What stands behind a stream's handle. A virtual function, so that the twin of a library in
// another plug-in can queue work on the CUDA plug-in's streams.
struct CUstream_st {
  virtual ~CUstream_st() = default;
  // `work` returns false while it waits for other ranks; it is called again, until it returns true.
  virtual void enqueue_shared(const char* name, std::function<bool()> work) = 0;
};

namespace lockstep::emulation {

enum class Streams { kAtOnce, kInterleaved };
// At the start from EMULATION_STREAMS = at_once | interleaved. Streams must be idle.
void set_streams(Streams mode);

// Where ranks are threads: the calling thread has a GPU of its own from now on. Others share the
// process's.
void take_own_gpu();

void enqueue(gpu::RawStream stream, const char* name, std::function<void()> work);
void finish_all();  // runs all that is queued on any stream; throws what a kernel met

}  // namespace lockstep::emulation
