#include "kernels/cuda/cuda_check.h"

namespace lockstep::gpu {

namespace {

// The context is lost after these; CUDA's programming guide, "sticky" errors.
bool ends_the_context(cudaError_t code) {
  switch (code) {
    case cudaErrorIllegalAddress:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorIllegalInstruction:
    case cudaErrorHardwareStackError:
    case cudaErrorAssert:
    case cudaErrorLaunchTimeout:
    case cudaErrorLaunchFailure:
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::string text_of(cudaError_t code) {
  return fmt::format("{}: {}", cudaGetErrorName(code), cudaGetErrorString(code));
}

void cuda_failed(cudaError_t code, const std::string& what) {
  cudaGetLastError();  // one that CUDA can recover from is told once
  if (!ends_the_context(code)) throw Error("CUDA: {}: {}", what, text_of(code));
  throw Error(
      "CUDA: {}: {}. Some work that this GPU was given before has failed, and the process can use "
      "it no more. CUDA_LAUNCH_BLOCKING=1 in the environment lets the operation at fault report "
      "itself",
      what, text_of(code));
}

}  // namespace lockstep::gpu
