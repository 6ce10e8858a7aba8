// Events that keep the time at which the GPU came to them; gpu.h's are without, which costs less.
// Two implementations, as of gpu.h: gpu_cudart.cc, and the tests' emulation.
#pragma once

#include "kernels/cuda/gpu.h"

namespace lockstep::gpu {

// To be recorded, waited for and destroyed as any other.
RawEvent make_timed_event();
double seconds_between(RawEvent begin, RawEvent end);  // of timed events that were reached

}  // namespace lockstep::gpu
