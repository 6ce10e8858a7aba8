// What stands between an operation and its vector kernels: checks of tensors, and plain pointers.
#pragma once

#include "kernels/core/device.h"

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

// Where losses and metrics leave their two sums.
inline double* sums_data(const Tensor& sums) {
  check_type(sums, DType::kFloat64, "sums");
  LOCKSTEP_CHECK(sums.elements() >= 2, "sums has {} elements, not 2", sums.elements());
  return sums.data<double>();
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

// The stream's workspace, all of it as one array.
inline float* float_workspace(Stream& stream, std::int64_t count) {
  return reinterpret_cast<float*>(
      stream.workspace(static_cast<std::size_t>(count) * sizeof(float)));
}

}  // namespace lockstep::cpu
