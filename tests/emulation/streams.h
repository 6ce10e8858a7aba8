// The emulated GPU's streams. Work runs at once, as it is queued; or, interleaved, as late as the
// host's waits allow and in a seeded random order of the streams, which respects nothing but the
// order within a stream and the events that were waited for: a missing wait shows.
#pragma once

#include <functional>

#include "kernels/cuda/gpu.h"

namespace lockstep::emulation {

enum class Streams { kAtOnce, kInterleaved };
// At the start from EMULATION_STREAMS = at_once | interleaved. Streams must be idle.
void set_streams(Streams mode);

void enqueue(gpu::RawStream stream, const char* name, std::function<void()> work);
void finish_all();  // runs all that is queued on any stream; throws what a kernel met

}  // namespace lockstep::emulation
