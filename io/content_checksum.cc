// Data go through their own checksum, a file's is made of its splits'.
#include "io/content_checksum.h"

#include <fmt/format.h>

namespace lockstep {

void SplitChecksum::array(std::string_view name, DType type, const Shape& shape) {
  sum_.update(fmt::format("{} {} {}\n", name, name_of(type), shape.to_string()));
}

std::string split_checksum(const Tensor& x, const Tensor& y, const Tensor& weight) {
  SplitChecksum sum;
  const std::pair<std::string_view, const Tensor&> arrays[] = {
      {"x", x}, {"y", y}, {"weight", weight}};
  for (const auto& [name, tensor] : arrays) {
    if (!tensor.defined()) continue;
    sum.array(name, tensor.dtype(), tensor.shape());
    sum.values(std::span<const std::byte>(tensor.raw(), tensor.bytes()));
  }
  return sum.text();
}

std::string file_checksum(std::span<const std::pair<std::string, std::string>> splits) {
  Checksum sum;
  for (const auto& [name, checksum] : splits) sum.update(fmt::format("{} {}\n", name, checksum));
  return checksum_text(sum.value());
}

}  // namespace lockstep
