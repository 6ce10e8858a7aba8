// Elements of tensors as kernels and their callers know them: their types, and packs of neighbours
// that a thread reads in accesses of up to 16 bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/core/dtype.h"

namespace lockstep {

namespace gpu {

struct BFloat16 {
  std::uint16_t bits;
};

template <typename T>
struct ValueOf {
  using Type = T;
};
template <>
struct ValueOf<BFloat16> {
  using Type = float;
};
template <typename T>
using Value = typename ValueOf<T>::Type;  // of an element in a register

template <typename T, int N>
struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Pack {
  T element[N];
};

// How many elements of this type fill 16 bytes; never more than 8.
template <typename T>
inline constexpr int kPack = sizeof(T) == 1 ? 8 : static_cast<int>(16 / sizeof(T));

// Whether packs of N may be read at p.
template <int N, typename T>
bool aligned(const T* p) {
  return reinterpret_cast<std::uintptr_t>(p) % alignof(Pack<T, N>) == 0;
}

}  // namespace gpu

template <>
constexpr DType dtype_of<gpu::BFloat16>() {
  return DType::kBFloat16;
}

}  // namespace lockstep
