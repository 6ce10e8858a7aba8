// Linear layers: y = x · wᵀ + bias and its gradients are products of cuBLASLt's; w lies as (out,
// in), as in files, and packed the same way in the type of the activations. The bias gradient is a
// sum over rows of its own.
#include "kernels/cuda/checks.h"
#include "kernels/cuda/column_total.h"

namespace lockstep {

namespace gpu {
namespace {

// (..., columns), with the rows of all axes but the last.
void check_matrix(const char* name, const Tensor& tensor, std::int64_t rows, std::int64_t columns,
                  DType type) {
  LOCKSTEP_CHECK(tensor.defined() && tensor.dtype() == type && tensor.elements() == rows * columns,
                 "linear: {} is {} {}, expected {} ({}, {})", name, name_of(tensor.dtype()),
                 tensor.shape().to_string(), name_of(type), rows, columns);
}

}  // namespace
}  // namespace gpu

std::int64_t CudaBackend::linear_packed_elements(const LinearGeometry& g, bool) {
  return activation_type_ == DType::kFloat32 ? 0 : g.in * g.out;
}

void CudaBackend::linear_pack(Stream& stream, const LinearGeometry& g, bool, const Tensor& w,
                              Tensor& packed) {
  gpu::check_matrix("w", w, g.out, g.in, DType::kFloat32);
  convert(stream, w, packed);
}

void CudaBackend::linear_forward(Stream& stream, const LinearGeometry& g, const Tensor& x,
                                 const Tensor& w, const Tensor& packed, const Tensor& bias,
                                 Tensor& y) {
  linear_product(stream, g, x, w, packed, bias, gpu::ProductActivation::kNone, y);
}

void CudaBackend::linear_product(Stream& stream, const LinearGeometry& g, const Tensor& x,
                                 const Tensor& master, const Tensor& packed, const Tensor& bias,
                                 gpu::ProductActivation activation, Tensor& y) {
  const std::int64_t rows = x.rows();
  const Tensor& w = gpu::weights_for(x, master, packed);
  gpu::check_matrix("x", x, rows, g.in, x.dtype());
  gpu::check_matrix("w", w, g.out, g.in, x.dtype());
  gpu::check_matrix("y", y, rows, g.out, x.dtype());
  if (bias.defined()) gpu::check_count(bias, g.out, "bias");
  if (rows == 0) return;
  libraries_->multiply(cuda_stream(stream),
                       {.rows = rows,
                        .columns = g.out,
                        .inner = g.in,
                        .transposed_b = true,
                        .operands = x.dtype(),
                        .result = x.dtype(),
                        .activation = activation},
                       x.raw(), w.raw(), gpu::optional_data<float>(bias), y.raw());
}

void CudaBackend::linear_backward_data(Stream& stream, const LinearGeometry& g, const Tensor& dy,
                                       const Tensor& master, const Tensor& packed, Tensor& dx) {
  const std::int64_t rows = dy.rows();
  const Tensor& w = gpu::weights_for(dy, master, packed);
  gpu::check_matrix("dy", dy, rows, g.out, dy.dtype());
  gpu::check_matrix("w", w, g.out, g.in, dy.dtype());
  gpu::check_matrix("dx", dx, rows, g.in, dy.dtype());
  if (rows == 0) return;
  libraries_->multiply(
      cuda_stream(stream),
      {.rows = rows, .columns = g.in, .inner = g.out, .operands = dy.dtype(), .result = dy.dtype()},
      dy.raw(), w.raw(), nullptr, dx.raw());
}

// dw = dyᵀ · x is float32 whatever x and dy are.
void CudaBackend::linear_backward_weights(Stream& stream, const LinearGeometry& g, const Tensor& x,
                                          const Tensor& dy, Tensor& dw, Tensor& dbias) {
  const std::int64_t rows = x.rows();
  gpu::check_matrix("x", x, rows, g.in, x.dtype());
  gpu::check_matrix("dy", dy, rows, g.out, x.dtype());
  gpu::check_matrix("dw", dw, g.out, g.in, DType::kFloat32);
  if (dbias.defined()) gpu::column_total(stream, "linear_backward_weights", dy, g.out, dbias);
  if (rows == 0) {
    gpu::set_bytes(dw.raw(), 0, dw.bytes(), gpu::raw(stream));
    return;
  }
  libraries_->multiply(cuda_stream(stream),
                       {.rows = g.out,
                        .columns = g.in,
                        .inner = rows,
                        .transposed_a = true,
                        .operands = x.dtype(),
                        .result = DType::kFloat32},
                       dy.raw(), x.raw(), nullptr, dw.raw());
}

}  // namespace lockstep
