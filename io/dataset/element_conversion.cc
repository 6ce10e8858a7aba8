#include "io/dataset/element_conversion.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "kernels/core/small_floats.h"

namespace lockstep {

namespace {

static_assert(std::endian::native == std::endian::little,
              "a file's order is told for such machines");

struct Half {
  std::uint16_t bits;
  explicit operator float() const { return from_float16(bits); }
};

template <std::size_t kBytes>
void reverse(std::byte (&bytes)[kBytes]) {
  std::reverse(bytes, bytes + kBytes);
}

template <typename From, typename To>
To cast(From value) {
  if constexpr (std::is_same_v<From, std::uint64_t> && std::is_same_v<To, std::int64_t>)
    return static_cast<To>(
        std::min(value, static_cast<From>(std::numeric_limits<std::int64_t>::max())));
  else
    return static_cast<To>(value);
}

template <typename From, typename To, bool kSwap>
void convert(const std::byte* from, std::byte* to, std::size_t count) {
  if constexpr (std::is_same_v<From, To> && !kSwap) {
    std::memcpy(to, from, count * sizeof(To));
  } else {
    for (std::size_t i = 0; i < count; ++i) {
      std::byte bytes[sizeof(From)];
      std::memcpy(bytes, from + i * sizeof(From), sizeof(From));
      if constexpr (kSwap) reverse(bytes);
      const To value = cast<From, To>(std::bit_cast<From>(bytes));
      std::memcpy(to + i * sizeof(To), &value, sizeof(To));
    }
  }
}

template <typename From, typename To>
ElementConversion by_order(bool swap) {
  return swap ? convert<From, To, true> : convert<From, To, false>;
}

template <typename To>
ElementConversion from_integer(const hdf5::ElementType& type, bool swap) {
  switch (type.bytes) {
    case 1:
      return type.is_signed ? by_order<std::int8_t, To>(false) : by_order<std::uint8_t, To>(false);
    case 2:
      return type.is_signed ? by_order<std::int16_t, To>(swap) : by_order<std::uint16_t, To>(swap);
    case 4:
      return type.is_signed ? by_order<std::int32_t, To>(swap) : by_order<std::uint32_t, To>(swap);
    case 8:
      return type.is_signed ? by_order<std::int64_t, To>(swap) : by_order<std::uint64_t, To>(swap);
    default:
      return nullptr;
  }
}

ElementConversion to_float(const hdf5::ElementType& type, bool swap) {
  if (type.is_integer()) return from_integer<float>(type, swap);
  switch (type.bytes) {
    case 2:
      return by_order<Half, float>(swap);
    case 4:
      return by_order<float, float>(swap);
    case 8:
      return by_order<double, float>(swap);
    default:
      return nullptr;
  }
}

}  // namespace

ElementConversion element_conversion(const hdf5::ElementType& from, DType to, bool native_order) {
  if (!from.is_standard || (!from.is_integer() && !from.is_float())) return nullptr;
  const bool swap = from.is_big_endian && !native_order;
  switch (to) {
    case DType::kUInt8:
      return from.native == DType::kUInt8 ? by_order<std::uint8_t, std::uint8_t>(false) : nullptr;
    case DType::kInt64:
      return from.is_integer() ? from_integer<std::int64_t>(from, swap) : nullptr;
    case DType::kFloat32:
      return to_float(from, swap);
    default:
      return nullptr;
  }
}

}  // namespace lockstep
