// Functions of single elements over any number of tensors of equal size: a kernel file gives a
// function object that takes a value for each tensor, by reference where it writes.
//   map_elements(stream, "add", n, Add{}, in(a), in(b), out(y));
//   struct Add { __device__ void operator()(float a, float b, float& y) const { y = a + b; } };
#pragma once

#include <algorithm>

#include "kernels/cuda/kernel.h"

namespace lockstep::gpu {

template <typename T>
struct In {
  using Element = T;
  const T* data;
  static constexpr bool kRead = true, kWritten = false;
};
template <typename T>
struct Out {
  using Element = T;
  T* data;
  static constexpr bool kRead = false, kWritten = true;
};
template <typename T>
struct InOut {
  using Element = T;
  T* data;
  static constexpr bool kRead = true, kWritten = true;
};

template <typename T>
In<T> in(const T* data) {
  return {data};
}
template <typename T>
Out<T> out(T* data) {
  return {data};
}
template <typename T>
InOut<T> in_out(T* data) {
  return {data};
}

// A thread's share of one tensor, in registers.
template <typename Argument, int N>
struct Held {
  Argument tensor;
  Value<typename Argument::Element> values[N];

  __device__ __forceinline__ void fetch(std::int64_t at, std::int64_t count, bool whole) {
    if constexpr (Argument::kRead) load_some<N>(tensor.data + at, count, whole, values);
  }
  __device__ __forceinline__ void keep(std::int64_t at, std::int64_t count, bool whole) const {
    if constexpr (Argument::kWritten) store_some<N>(tensor.data + at, count, whole, values);
  }
};

template <int N, typename Function, typename... Shares>
__device__ __forceinline__ void map_share(const Function& function, std::int64_t at,
                                          std::int64_t count, bool whole, Shares... shares) {
  (shares.fetch(at, count, whole), ...);
  // Also of elements beyond the end, which are zeros and are not kept: no branch for each.
#pragma unroll
  for (int i = 0; i < N; ++i) function(shares.values[i]...);
  (shares.keep(at, count, whole), ...);
}

template <int N, bool kAligned, typename Function, typename... Arguments>
__global__ void __launch_bounds__(256)
    map_kernel(Function function, std::int64_t n, Arguments... arguments) {
  const std::int64_t at = thread_number() * N;
  if (at >= n) return;
  const std::int64_t count = n - at < N ? n - at : N;
  map_share<N>(function, at, count, kAligned && count == N,
               Held<Arguments, N>{.tensor = arguments, .values = {}}...);
}

template <typename Function, typename... Arguments>
void map_elements(RawStream stream, const char* name, std::int64_t n, const Function& function,
                  const Arguments&... arguments) {
  if (n == 0) return;
  constexpr std::size_t kLargest = std::max({sizeof(typename Arguments::Element)...});
  constexpr int N = kLargest <= 2 ? 8 : 4;
  constexpr unsigned kThreads = 256;
  const Launch launch_of{.name = name, .grid = {blocks_for(n, N * kThreads)}, .block = {kThreads}};
  if ((aligned<N>(arguments.data) && ...))
    launch(stream, launch_of, map_kernel<N, true, Function, Arguments...>, function, n,
           arguments...);
  else
    launch(stream, launch_of, map_kernel<N, false, Function, Arguments...>, function, n,
           arguments...);
}

}  // namespace lockstep::gpu
