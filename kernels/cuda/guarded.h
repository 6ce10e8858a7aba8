// Maps that change nothing where the stream's guard says so (StepRecord::guard): what is written is
// read, too, so that a value stays as it is.
#pragma once

#include "kernels/cuda/map.h"
#include "kernels/cuda/stream.h"

namespace lockstep::gpu {

template <typename Function>
struct Guarded {
  Function function;
  const double* open;
  template <typename... Values>
  __device__ void operator()(Values&... values) const {
    if (*open != 0) function(values...);
  }
};

template <typename Function, typename... Arguments>
void map_guarded(Stream& stream, const char* name, std::int64_t n, const Function& function,
                 const Arguments&... arguments) {
  CudaStream& ours = cuda_stream(stream);
  if (ours.guard() == nullptr)
    map_elements(ours.raw(), name, n, function, arguments...);
  else
    map_elements(ours.raw(), name, n, Guarded<Function>{function, ours.guard()}, arguments...);
}

}  // namespace lockstep::gpu
