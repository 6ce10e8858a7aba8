// Calls of the CUDA runtime: what they return becomes an Error that names what was asked for.
#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "kernels/core/error.h"

namespace lockstep::gpu {

// "cudaErrorInvalidValue: invalid argument"
std::string text_of(cudaError_t code);

// Throws where `code` is an error. After an error that CUDA cannot recover from (a kernel that
// read a wrong address, say) every later call fails alike: the message then says so.
template <typename... Arguments>
void check_cuda(cudaError_t code, fmt::format_string<Arguments...> what, Arguments&&... arguments);
[[noreturn]] void cuda_failed(cudaError_t code, const std::string& what);

template <typename... Arguments>
void check_cuda(cudaError_t code, fmt::format_string<Arguments...> what, Arguments&&... arguments) {
  if (code != cudaSuccess) [[unlikely]]
    cuda_failed(code, fmt::format(what, std::forward<Arguments>(arguments)...));
}

}  // namespace lockstep::gpu
