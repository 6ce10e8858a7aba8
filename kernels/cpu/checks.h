// Checks that operations make before they hand plain pointers to the vector kernels.
#pragma once

#include "kernels/core/tensor.h"

namespace lockstep::cpu {

inline void check_type(const Tensor& tensor, DType type, const char* name) {
  LOCKSTEP_CHECK(tensor.defined(), "{} is undefined", name);
  LOCKSTEP_CHECK(tensor.dtype() == type, "{} is {}, not {}", name, name_of(tensor.dtype()),
                 name_of(type));
}

inline void check_shape(const Tensor& tensor, const Shape& shape, const char* name,
                        DType type = DType::kFloat32) {
  check_type(tensor, type, name);
  LOCKSTEP_CHECK(tensor.shape() == shape, "{} is {}, not {}", name, tensor.shape().to_string(),
                 shape.to_string());
}

// `count` elements in any shape.
inline void check_count(const Tensor& tensor, std::int64_t count, const char* name,
                        DType type = DType::kFloat32) {
  check_type(tensor, type, name);
  LOCKSTEP_CHECK(tensor.elements() == count, "{} has {} elements, not {}", name, tensor.elements(),
                 count);
}

// Null where the tensor is undefined.
inline float* optional_data(const Tensor& tensor) {
  return tensor.defined() ? tensor.data<float>() : nullptr;
}

}  // namespace lockstep::cpu
