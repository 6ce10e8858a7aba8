// CUDA's words and functions for a host compiler: what kernels/cuda/kernel.h includes in the
// emulation. Its counterpart for nvcc is kernels/cuda/nvcc/gpu_dialect.h.
#pragma once

#include <bit>
#include <cmath>
#include <cstring>
#include <tuple>
#include <type_traits>

#include "kernels/core/small_floats.h"
#include "tests/emulation/machine.h"
#include "tests/emulation/streams.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
// A host compiler would take it for nothing, and nothing would be shared.
#define __shared__ static_assert(false, "say LOCKSTEP_SHARED")

namespace lockstep::emulation {

struct Index3 {
  unsigned x = 0, y = 0, z = 0;
};

template <typename T>
std::uint64_t to_bits(T value) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  return bits;
}

template <typename T>
T from_bits(std::uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

// The declaration's own type makes its place in the block's shared memory.
template <typename T, typename Declaration>
T& shared_variable() {
  static_assert(std::is_trivially_copyable_v<T>);
  static char declaration;
  return *static_cast<T*>(
      static_shared(&declaration, sizeof(T), alignof(T) < 16 ? 16 : alignof(T)));
}

}  // namespace lockstep::emulation

extern lockstep::emulation::Index3 threadIdx, blockIdx;
extern lockstep::gpu::Extent blockDim, gridDim;

#define LOCKSTEP_SHARED(kind, name)  \
  struct name##Declaration {};       \
  std::type_identity_t<kind>& name = \
      ::lockstep::emulation::shared_variable<std::type_identity_t<kind>, name##Declaration>()

// Every call knows the line of the kernel that it stands in.
#define EMULATION_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()
#define EMULATION_INLINE [[gnu::always_inline]] inline

EMULATION_INLINE void __syncthreads(EMULATION_SITE) {
  lockstep::emulation::block_barrier(false, {file, line});
}
EMULATION_INLINE int __syncthreads_count(int predicate, EMULATION_SITE) {
  return lockstep::emulation::block_barrier(predicate != 0, {file, line});
}
EMULATION_INLINE int __syncthreads_or(int predicate, EMULATION_SITE) {
  return lockstep::emulation::block_barrier(predicate != 0, {file, line}) != 0;
}
EMULATION_INLINE void __syncwarp(unsigned mask = 0xffffffffu, EMULATION_SITE) {
  lockstep::emulation::warp_operation(lockstep::emulation::WarpOperation::kSync, mask, 0, -1,
                                      {file, line});
}
EMULATION_INLINE unsigned __ballot_sync(unsigned mask, int predicate, EMULATION_SITE) {
  return static_cast<unsigned>(lockstep::emulation::warp_operation(
      lockstep::emulation::WarpOperation::kBallot, mask, predicate != 0, -1, {file, line}));
}

// A lane whose source lies outside its segment of `width` lanes keeps its own value.
template <typename T>
T emulated_shuffle(unsigned mask, T value, int source, int width, lockstep::emulation::Site site) {
  const int first = lockstep::emulation::lane() & ~(width - 1);
  if (source < first || source >= first + width) source = -1;
  return lockstep::emulation::from_bits<T>(
      lockstep::emulation::warp_operation(lockstep::emulation::WarpOperation::kShuffle, mask,
                                          lockstep::emulation::to_bits(value), source, site));
}
template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, EMULATION_SITE) {
  const int first = lockstep::emulation::lane() & ~(width - 1);
  return emulated_shuffle(mask, value, first + (source & (width - 1)), width, {file, line});
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int distance, int width = 32, EMULATION_SITE) {
  return emulated_shuffle(mask, value, lockstep::emulation::lane() ^ distance, width, {file, line});
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32, EMULATION_SITE) {
  return emulated_shuffle(mask, value, lockstep::emulation::lane() + static_cast<int>(distance),
                          width, {file, line});
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32, EMULATION_SITE) {
  return emulated_shuffle(mask, value, lockstep::emulation::lane() - static_cast<int>(distance),
                          width, {file, line});
}
EMULATION_INLINE void __trap(EMULATION_SITE) {
  lockstep::emulation::trap("__trap()", {file, line});
}

EMULATION_INLINE float rsqrtf(float x) {
  return 1.0f / std::sqrt(x);
}
EMULATION_INLINE int __popc(unsigned x) {
  return std::popcount(x);
}
EMULATION_INLINE int __ffs(int x) {  // the lowest bit that is set, from 1; 0: there is none
  return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1;
}
EMULATION_INLINE unsigned __float_as_uint(float x) {
  return std::bit_cast<unsigned>(x);
}
EMULATION_INLINE float __uint_as_float(unsigned x) {
  return std::bit_cast<float>(x);
}
// Not instrumented: atomics do not race with each other.
template <typename T>
[[gnu::no_sanitize_thread, gnu::noinline]] T atomicMin(T* place, std::type_identity_t<T> value) {
  const T before = *place;  // a thread gives way at barriers and warp operations alone
  if (value < before) *place = value;
  return before;
}

namespace lockstep::gpu {

EMULATION_INLINE std::uint16_t bfloat16_bits(float value) {
  return to_bfloat16(value);
}

template <typename T>
T* dynamic_shared() {
  return static_cast<T*>(emulation::dynamic_shared());
}

template <typename... Parameters, typename... Arguments>
void launch(RawStream stream, const Launch& what, void (*kernel)(Parameters...),
            const Arguments&... arguments) {
  static_assert((std::is_trivially_copyable_v<Parameters> && ...),
                "a kernel's arguments are copied as bytes");
  std::tuple<Parameters...> copies{static_cast<Parameters>(arguments)...};
  emulation::enqueue(stream, what.name, [what, kernel, copies] {
    emulation::run_grid(what, [&] { std::apply(kernel, copies); });
  });
}

}  // namespace lockstep::gpu
