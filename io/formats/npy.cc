// Magic, version, length of a Python literal padded so that the values start at a multiple of 64.
#include "io/formats/npy.h"

#include <cstdint>

#include "io/base/file.h"

namespace lockstep {

void write_npy(const std::string& path, const Tensor& host_tensor) {
  const DType type = host_tensor.dtype();
  LOCKSTEP_CHECK(type == DType::kFloat32 || type == DType::kInt64, "npy of {}", name_of(type));
  std::string axes;
  for (const std::int64_t size : host_tensor.shape().sizes()) axes += fmt::format("{},", size);
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}",
                                   type == DType::kFloat32 ? "<f4" : "<i8", axes);
  constexpr std::size_t kPrefix = 10, kAlign = 64;
  header.resize((kPrefix + header.size() + kAlign) / kAlign * kAlign - kPrefix - 1, ' ');
  header += '\n';

  FileWriter file(path);
  file.write(std::string_view("\x93NUMPY\x01\x00", 8));
  const char length[2] = {static_cast<char>(header.size() & 0xFF),
                          static_cast<char>(header.size() >> 8)};
  file.write(std::string_view(length, 2));
  file.write(header);
  file.write(std::span<const std::byte>(host_tensor.raw(), host_tensor.bytes()));
  file.commit();
}

}  // namespace lockstep
