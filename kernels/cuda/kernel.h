// The one header through which kernel files (*.cu) see the device. nvcc compiles them for the GPU;
// the tests compile them a second time for the CPU, where a fiber plays a thread. Hence the rules:
// shared variables by LOCKSTEP_SHARED, launches by launch(), no call of the runtime, no <<<>>>, no
// atomics on floats, no talk between blocks of one launch, __syncwarp between exchanges of a warp
// through shared memory; threads leave before a barrier as whole blocks alone.
//
// Elements are float or BFloat16 in memory and float in registers. Every fused multiply-add is
// spelled out (nvcc runs with --fmad=false), and which elements a thread adds up, in which order,
// follows from shapes and types alone: not from alignment, nor from the number of processors.
#pragma once

#include <gpu_dialect.h>

#include <cstdint>

#include "kernels/cuda/elements.h"
#include "kernels/cuda/faults.h"

namespace lockstep::gpu {

inline constexpr unsigned kWarp = 32;
inline constexpr unsigned kWholeWarp = 0xffffffffu;

// ---- elements: what is in memory, and what arithmetic sees
__device__ __forceinline__ float load(const float* p) {
  return *p;
}
__device__ __forceinline__ float load(const BFloat16* p) {
  return __uint_as_float(static_cast<unsigned>(p->bits) << 16);
}
__device__ __forceinline__ double load(const double* p) {
  return *p;
}
__device__ __forceinline__ std::uint8_t load(const std::uint8_t* p) {
  return *p;
}
__device__ __forceinline__ std::int64_t load(const std::int64_t* p) {
  return *p;
}
__device__ __forceinline__ void store(float* p, float value) {
  *p = value;
}
__device__ __forceinline__ void store(BFloat16* p, float value) {
  p->bits = bfloat16_bits(value);
}
__device__ __forceinline__ void store(double* p, double value) {
  *p = value;
}
__device__ __forceinline__ void store(std::uint8_t* p, std::uint8_t value) {
  *p = value;
}
__device__ __forceinline__ void store(std::int64_t* p, std::int64_t value) {
  *p = value;
}

// ---- vectors: a thread's share of N neighbours in one or two accesses of 16 bytes, or in smaller
// ones where the tensors do not start or end with a vector. Which is which changes no result.
template <int N, typename T>
__device__ __forceinline__ void load_pack(const T* p, Value<T> (&values)[N]) {
  const Pack<T, N> pack = *reinterpret_cast<const Pack<T, N>*>(p);
#pragma unroll
  for (int i = 0; i < N; ++i) values[i] = load(&pack.element[i]);
}

template <int N, typename T>
__device__ __forceinline__ void store_pack(T* p, const Value<T> (&values)[N]) {
  Pack<T, N> pack;
#pragma unroll
  for (int i = 0; i < N; ++i) store(&pack.element[i], values[i]);
  *reinterpret_cast<Pack<T, N>*>(p) = pack;
}

// The first `count` of N; those behind them are `rest`, and are not stored.
template <int N, typename T>
__device__ __forceinline__ void load_some(const T* p, std::int64_t count, bool whole,
                                          Value<T> (&values)[N], Value<T> rest = {}) {
  if (whole) {
    load_pack<N>(p, values);
    return;
  }
#pragma unroll
  for (int i = 0; i < N; ++i) {
    values[i] = rest;
    if (i < count) values[i] = load(p + i);
  }
}

template <int N, typename T>
__device__ __forceinline__ void store_some(T* p, std::int64_t count, bool whole,
                                           const Value<T> (&values)[N]) {
  if (whole) {
    store_pack<N>(p, values);
    return;
  }
#pragma unroll
  for (int i = 0; i < N; ++i)
    if (i < count) store(p + i, values[i]);
}

// Elements as they are, bit by bit.
template <int N, typename T>
__device__ __forceinline__ void copy_some(const T* from, T* to, std::int64_t count, bool whole) {
  if (whole) {
    *reinterpret_cast<Pack<T, N>*>(to) = *reinterpret_cast<const Pack<T, N>*>(from);
    return;
  }
#pragma unroll
  for (int i = 0; i < N; ++i)
    if (i < count) to[i] = from[i];
}

// ---- sums over the lanes of a warp, all of which get the result: pairs at a distance of 16, 8, 4,
// 2, 1, so that the order is the same for every lane
template <typename T>
__device__ __forceinline__ T warp_sum(T value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2)
    value += __shfl_xor_sync(kWholeWarp, value, distance);
  return value;
}

__device__ __forceinline__ float warp_max(float value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2)
    value = fmaxf(value, __shfl_xor_sync(kWholeWarp, value, distance));
  return value;
}

// Over a block of kThreads in one dimension; every thread gets the sum. Ends with a barrier, so
// that it may be called again at once.
template <int kThreads, typename T>
__device__ __forceinline__ T block_sum(T value) {
  static_assert(kThreads % kWarp == 0 && kThreads <= 1024);
  constexpr int kWarps = kThreads / kWarp;
  LOCKSTEP_SHARED(T[kWarps], sums);
  value = warp_sum(value);
  if (threadIdx.x % kWarp == 0) sums[threadIdx.x / kWarp] = value;
  __syncthreads();
  T total = sums[0];
#pragma unroll
  for (int warp = 1; warp < kWarps; ++warp) total += sums[warp];
  __syncthreads();
  return total;
}

// ---- the place of a thread in a grid of one dimension
__device__ __forceinline__ std::int64_t thread_number() {
  return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

// ---- values that cannot be used
__device__ __forceinline__ unsigned long long fault_word(std::int64_t place, std::int64_t value) {
  const std::int64_t most = 0x7fffffff;
  const std::int64_t cut = value > most ? most : value < -most ? -most : value;
  return static_cast<unsigned long long>(place) << 32 |
         (static_cast<unsigned long long>(cut) & 0xffffffffull);
}

__device__ __forceinline__ void report_fault(FaultSlot slot, std::int64_t place, std::int64_t value,
                                             std::int64_t sample = 0) {
  atomicMin(slot, fault_word(place, value));
  atomicMin(slot + 1, fault_word(place, sample));
}

inline unsigned blocks_for(std::int64_t items, std::int64_t per_block) {
  return static_cast<unsigned>((items + per_block - 1) / per_block);
}

}  // namespace lockstep::gpu
