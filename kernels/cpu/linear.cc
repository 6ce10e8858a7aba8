// Linear layers: y = x · w + bias and its gradients, each one call of the microkernel. w lies in
// panels of columns (gemm_kernels.h), so that the forward pass packs nothing.
#include "kernels/cpu/backend_impl.h"
#include "kernels/cpu/conv_weights.h"
#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/gemm_kernels.h"
#include "kernels/cpu/gemm_runs.h"
#include "kernels/cpu/panels.h"

namespace lockstep {
namespace {

// Of a batch, or tokens and pixels: too many for one product of x and dy.
constexpr std::int64_t kManyRows = 512;

// Whether the weights come from memory.
bool streams(const LinearGeometry& g) {
  return g.in * g.out > 1 << 17;
}

void check_matrix(const char* name, const Tensor& tensor, std::int64_t columns) {
  LOCKSTEP_CHECK(tensor.defined() && tensor.dtype() == DType::kFloat32 &&
                     tensor.elements() == tensor.rows() * columns,
                 "linear: {} is {}, expected float32 (N, {})", name, tensor.shape().to_string(),
                 columns);
}

void check_elements(const char* name, const Tensor& tensor, std::int64_t elements) {
  LOCKSTEP_CHECK(
      tensor.defined() && tensor.dtype() == DType::kFloat32 && tensor.elements() == elements,
      "linear: {} is {}, expected {} float32 elements", name, tensor.shape().to_string(), elements);
}

void check_rows(const Tensor& a, const Tensor& b) {
  LOCKSTEP_CHECK(a.rows() == b.rows(), "linear: tensors of {} and {} rows", a.rows(), b.rows());
}

void use_plain_runs(Stream& stream, std::int64_t terms, std::int64_t a_stride,
                    GemmProduct& product) {
  Workspace workspace(stream, PlainRuns::bytes(terms));
  PlainRuns(workspace, terms, a_stride).use(product);
}

}  // namespace

std::int64_t CpuBackend::linear_packed_elements(const LinearGeometry& g, bool data_gradient) {
  return data_gradient ? g.in * g.out : 0;
}

// packed is the transposed matrix (out, in) in panels of columns of its own.
void CpuBackend::linear_pack(Stream&, const LinearGeometry& g, bool data_gradient, const Tensor& w,
                             Tensor& packed) {
  if (!data_gradient) return;
  check_elements("w", w, g.in * g.out);
  check_elements("packed", packed, g.in * g.out);
  transpose_panels({w.data<float>(), g.in, 0}, g.in, g.out, {packed.data<float>(), g.out, 0});
}

void CpuBackend::linear_forward(Stream& stream, const LinearGeometry& g, const Tensor& x,
                                const Tensor& w, const Tensor&, const Tensor& bias, Tensor& y) {
  linear_forward(stream, g, x, w, bias, nullptr, y);
}

void CpuBackend::linear_inference(Stream& stream, const LinearGeometry& g, const Tensor& x,
                                  const Tensor& w, const Tensor&, const Tensor& bias,
                                  const Epilogue& epilogue, Tensor& y) {
  const cpu::OutputEpilogue applied(vector_, epilogue, y);
  linear_forward(stream, g, x, w, bias, &applied.tile(), y);
}

void CpuBackend::linear_forward(Stream& stream, const LinearGeometry& g, const Tensor& x,
                                const Tensor& w, const Tensor& bias, const TileEpilogue* epilogue,
                                Tensor& y) {
  check_matrix("x", x, g.in);
  check_elements("w", w, g.in * g.out);
  if (bias) check_elements("bias", bias, g.out);
  check_matrix("y", y, g.out);
  check_rows(x, y);
  GemmProduct product;
  product.a = x.data<float>();
  product.a_stride = g.in;
  product.b = {w.data<float>(), 0, kPanelColumns * g.in};
  product.c = {y.data<float>(), g.out, kPanelColumns};
  product.bias = bias ? bias.data<float>() : nullptr;
  product.epilogue = epilogue;
  product.streams_b = streams(g);
  product.rows = x.rows();
  product.columns = g.out;
  use_plain_runs(stream, g.in, 1, product);
  products_.multiply(product);
}

void CpuBackend::linear_backward_data(Stream& stream, const LinearGeometry& g, const Tensor& dy,
                                      const Tensor&, const Tensor& packed, Tensor& dx) {
  check_matrix("dy", dy, g.out);
  check_elements("packed", packed, g.in * g.out);
  check_matrix("dx", dx, g.in);
  check_rows(dy, dx);
  GemmProduct product;
  product.a = dy.data<float>();
  product.a_stride = g.out;
  product.b = {packed.data<float>(), 0, kPanelColumns * g.out};
  product.c = {dx.data<float>(), g.in, kPanelColumns};
  product.streams_b = streams(g);
  product.rows = dy.rows();
  product.columns = g.in;
  use_plain_runs(stream, g.out, 1, product);
  products_.multiply(product);
}

void CpuBackend::linear_backward_weights(Stream& stream, const LinearGeometry& g, const Tensor& x,
                                         const Tensor& dy, Tensor& dw, Tensor& dbias) {
  check_matrix("x", x, g.in);
  check_matrix("dy", dy, g.out);
  check_rows(x, dy);
  check_elements("dw", dw, g.in * g.out);
  if (dbias) check_elements("dbias", dbias, g.out);
  float* const bias_gradient = dbias ? dbias.data<float>() : nullptr;
  if (x.rows() > kManyRows) {
    pointwise_backward_weights(stream, products_, x.rows(), g.in, g.out, x.data<float>(),
                               dy.data<float>(), dw.data<float>(), bias_gradient);
    return;
  }
  GemmProduct product;
  product.a = x.data<float>();
  product.a_stride = g.in;
  product.transposed = true;
  product.b = {dy.data<float>(), g.out, kPanelColumns};
  product.c = {dw.data<float>(), 0, kPanelColumns * g.in};
  product.rows = g.in;
  product.columns = g.out;
  use_plain_runs(stream, x.rows(), g.in, product);
  products_.multiply(product);
  if (bias_gradient) gemm_.column_sums(dy.data<float>(), dy.rows(), g.out, false, bias_gradient);
}

}  // namespace lockstep
