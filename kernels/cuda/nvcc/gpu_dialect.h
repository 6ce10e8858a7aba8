// What kernels/cuda/kernel.h needs of nvcc. The emulation's counterpart, which a host compiler
// reads, is tests/emulation/gpu_dialect.h; the build's include path picks one.
#pragma once

#include <cuda_runtime.h>

#include <tuple>
#include <type_traits>

#include "kernels/cuda/gpu.h"

// A static shared variable of a kernel: LOCKSTEP_SHARED(float[8][33], sums);
#define LOCKSTEP_SHARED(type, name) __shared__ std::type_identity_t<type> name

namespace lockstep::gpu {

__device__ __forceinline__ std::uint16_t bfloat16_bits(float value) {  // nearest, ties to even
  std::uint16_t bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}

template <typename T>
__device__ __forceinline__ T* dynamic_shared() {
  extern __shared__ __align__(128) unsigned char lockstep_dynamic_shared[];
  return reinterpret_cast<T*>(lockstep_dynamic_shared);
}

template <typename... Parameters, typename... Arguments>
void launch(RawStream stream, const Launch& what, void (*kernel)(Parameters...),
            const Arguments&... arguments) {
  static_assert((std::is_trivially_copyable_v<Parameters> && ...),
                "a kernel's arguments are copied as bytes");
  std::tuple<Parameters...> copies{static_cast<Parameters>(arguments)...};
  std::apply(
      [&](auto&... each) {
        void* addresses[] = {&each..., nullptr};  // an array has one element at least
        launch_kernel(stream, what, reinterpret_cast<const void*>(kernel), addresses);
      },
      copies);
}

}  // namespace lockstep::gpu
