#include "kernels/core/dtype.h"

#include "kernels/core/error.h"

namespace lockstep {

std::size_t size_of(DType type) {
  switch (type) {
    case DType::kFloat32:
      return 4;
    case DType::kBFloat16:
      return 2;
    case DType::kUInt8:
      return 1;
    case DType::kInt64:
      return 8;
    case DType::kFloat64:
      return 8;
  }
  throw Error("unknown element type {}", static_cast<int>(type));
}

std::string_view name_of(DType type) {
  switch (type) {
    case DType::kFloat32:
      return "float32";
    case DType::kBFloat16:
      return "bfloat16";
    case DType::kUInt8:
      return "uint8";
    case DType::kInt64:
      return "int64";
    case DType::kFloat64:
      return "float64";
  }
  throw Error("unknown element type {}", static_cast<int>(type));
}

}  // namespace lockstep
