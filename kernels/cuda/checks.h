// What stands between an operation and its kernels: checks of tensors, their element types as
// C++'s, and the scratch memory of a stream.
#pragma once

#include "kernels/cuda/backend_impl.h"
#include "kernels/cuda/elements.h"

namespace lockstep {

namespace gpu {

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

// As `like` in shape and type.
inline void check_like(const Tensor& tensor, const Tensor& like, const char* name) {
  check_shape(tensor, like.shape(), name, like.dtype());
}

// `count` elements in any shape.
inline void check_count(const Tensor& tensor, std::int64_t count, const char* name,
                        DType type = DType::kFloat32) {
  check_type(tensor, type, name);
  LOCKSTEP_CHECK(tensor.elements() == count, "{} has {} elements, not {}", name, tensor.elements(),
                 count);
}

// The weights as an operation on these activations reads them: the float32 masters, or their copy.
inline const Tensor& weights_for(const Tensor& activations, const Tensor& w, const Tensor& packed) {
  return activations.dtype() == DType::kFloat32 ? w : packed;
}

// Null where the tensor is undefined.
template <typename T>
T* optional_data(const Tensor& tensor) {
  return tensor.defined() ? tensor.data<T>() : nullptr;
}

// run(T{}) with the type that activations of this tensor have in memory.
template <typename Run>
void for_element_type(const Tensor& tensor, const char* name, const Run& run) {
  LOCKSTEP_CHECK(tensor.defined(), "{} is undefined", name);
  switch (tensor.dtype()) {
    case DType::kFloat32:
      return run(float{});
    case DType::kBFloat16:
      return run(BFloat16{});
    default:
      throw Error("{} is {}, neither float32 nor bfloat16", name, name_of(tensor.dtype()));
  }
}

// The stream's workspace, all of it as one array.
template <typename T>
T* workspace_of(Stream& stream, std::int64_t count) {
  return reinterpret_cast<T*>(stream.workspace(static_cast<std::size_t>(count) * sizeof(T)));
}

// The same as what sum_columns takes.
inline auto floats_of(Stream& stream) {
  return [&stream](std::int64_t count) { return workspace_of<float>(stream, count); };
}

// Whether packs of N elements may be read from all of these; an undefined tensor does not matter.
template <int N, typename T>
bool all_aligned(std::initializer_list<const Tensor*> tensors) {
  for (const Tensor* tensor : tensors)
    if (tensor->defined() && !aligned<N>(tensor->data<T>())) return false;
  return true;
}

inline RawStream raw(Stream& stream) {
  return cuda_stream(stream).raw();
}

}  // namespace gpu
}  // namespace lockstep
