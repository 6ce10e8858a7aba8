#include "io/formats/safetensors_floats.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "io/dataset/dataset.h"
#include "kernels/core/small_floats.h"

namespace lockstep {

namespace {

// "[3, 0, 7]" of element 217 of (64, 10, 10).
std::string index_of(std::int64_t element, const Shape& shape) {
  std::vector<std::int64_t> index(shape.sizes().size());
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    index[static_cast<std::size_t>(axis)] = element % shape[axis];
    element /= shape[axis];
  }
  return fmt::format("[{}]", fmt::join(index, ", "));
}

Tensor to_float32(const Tensor& stored) {
  if (stored.dtype() == DType::kFloat32) return stored;
  const Tensor floats = host_tensor(stored.shape(), DType::kFloat32);
  float* const to = floats.data<float>();
  if (stored.dtype() == DType::kFloat64) {
    std::ranges::transform(stored.span<double>(), to,
                           [](double value) { return static_cast<float>(value); });
    return floats;
  }
  for (std::int64_t i = 0; i < stored.elements(); ++i) {  // bfloat16 has no C++ type
    std::uint16_t bits = 0;
    std::memcpy(&bits, stored.raw() + i * static_cast<std::int64_t>(sizeof bits), sizeof bits);
    to[i] = from_bfloat16(bits);
  }
  return floats;
}

}  // namespace

bool is_float(const SafetensorsReader::Entry& entry) {
  return entry.type == DType::kFloat32 || entry.type == DType::kBFloat16 ||
         entry.type == DType::kFloat64;
}

Tensor read_finite_floats(const SafetensorsReader& reader, const SafetensorsReader::Entry& entry) {
  LOCKSTEP_CHECK(is_float(entry), "'{}' holds {}", entry.name, entry.code);
  const Tensor stored = reader.read(entry);
  Tensor floats = to_float32(stored);
  const std::span<const float> values = floats.span<float>();
  const auto bad =
      std::ranges::find_if_not(values, [](float value) { return std::isfinite(value); });
  if (bad == values.end()) return floats;
  const auto element = bad - values.begin();
  const std::string where =
      fmt::format("{}: '{}' {}", reader.path(), entry.name, index_of(element, entry.shape));
  const double was = entry.type == DType::kFloat64 ? stored.data<double>()[element] : *bad;
  if (std::isfinite(was)) throw Error("{} is {}, too large for float32", where, was);
  throw Error("{} is {}: these weights are damaged, or their training diverged", where, was);
}

}  // namespace lockstep
