// On what a run computes: all ranks on GPUs, or all on the CPU.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "kernels/gpu/gpu_library.h"
#include "runtime/communication/communicator.h"
#include "runtime/config/config.h"

namespace lockstep {

struct DeviceChoice {
  std::unique_ptr<Backend> backend;
  bool gpu = false;
  bool shared = false;  // some ranks compute on one GPU
  GpuLibrary* library = nullptr;  // that made the backend, where it is a GPU
  // "NVIDIA H200, sm_90, CUDA runtime 13.0, cuDNN 9.14.0, ..."; "" on the CPU. The same on all
  // ranks, and in all starts of a run.
  std::string gpu_libraries;
  std::string text;  // "GPU (...)", or "CPU (...), " and why no GPU is used where one might be
};

// A collective of all ranks. run.device "auto" takes GPUs where every rank can have one, and else
// the CPU with the reason in its text; "cuda" throws Error with that reason. A GPU is chosen before
// anything is allocated on it.
DeviceChoice choose_device(const RunConfig& run, Communicator& communicator,
                           const std::function<LoadedGpuLibrary()>& load);
DeviceChoice choose_device(const RunConfig& run, Communicator& communicator);

}  // namespace lockstep
