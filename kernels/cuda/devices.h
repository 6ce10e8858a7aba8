// The GPUs that this process may use, and the versions of what it uses them with: asked of the
// driver without making a context on any of them. Two implementations, as of gpu.h:
// devices_cudart.cc and the tests' emulation.
#pragma once

#include <vector>

#include "kernels/gpu/gpu_library.h"

namespace lockstep::gpu {

VisibleGpus visible_gpus();
std::vector<LibraryVersion> library_versions();

}  // namespace lockstep::gpu
