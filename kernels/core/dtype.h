// Element types of tensors. float64 exists for sums that join shards (losses, metrics) alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace lockstep {

enum class DType : std::uint8_t { kFloat32, kBFloat16, kUInt8, kInt64, kFloat64 };

std::size_t size_of(DType type);       // bytes of one element
std::string_view name_of(DType type);  // "float32", "bfloat16", "uint8", "int64", "float64"

// The type's tag in a template: dtype_of<float>() == DType::kFloat32. bfloat16 has no C++ type
// here.
template <typename T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::kFloat32;
}
template <>
constexpr DType dtype_of<std::uint8_t>() {
  return DType::kUInt8;
}
template <>
constexpr DType dtype_of<std::int64_t>() {
  return DType::kInt64;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::kFloat64;
}

}  // namespace lockstep
