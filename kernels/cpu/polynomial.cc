// Products over the last axis and quadratic functions: small layers of lectures, in plain loops.
// Every multiply-add is a fused one that std::fma spells out, every sum runs in double in the order
// of the elements, so the bits are the same on any processor.
#include <cmath>

#include "kernels/cpu/backend_impl.h"
#include "kernels/cpu/checks.h"

namespace lockstep {

namespace {

float coefficient(const Tensor& tensor, const char* name) {
  cpu::check_count(tensor, 1, name);
  return tensor.data<float>()[0];
}

}  // namespace

void CpuBackend::product_forward(Stream&, const Tensor& x, Tensor& y) {
  const std::int64_t columns = x.shape().back();
  cpu::check_type(x, DType::kFloat32, "x");
  LOCKSTEP_CHECK(columns > 0, "a product of no columns");
  cpu::check_count(y, x.elements() / columns, "y");
  const float* from = x.data<float>();
  for (float& product : y.span<float>()) {
    product = *from++;
    for (std::int64_t c = 1; c < columns; ++c) product *= *from++;
  }
}

// dx[i] = dy · Π x[j], j ≠ i, as (x[0] ⋯ x[i - 1]) (x[i + 1] ⋯): no division, so zeros are no
// exception.
void CpuBackend::product_backward(Stream&, const Tensor& x, const Tensor& dy, Tensor& dx) {
  const std::int64_t columns = x.shape().back();
  cpu::check_shape(dx, x.shape(), "dx");
  LOCKSTEP_CHECK(columns > 0, "a product of no columns");
  cpu::check_count(dy, x.elements() / columns, "dy");
  const float* from = x.data<float>();
  float* to = dx.data<float>();
  for (const float gradient : dy.span<float>()) {
    float before = gradient;
    for (std::int64_t c = 0; c < columns; ++c) {
      to[c] = before;
      before *= from[c];
    }
    float behind = 1;
    for (std::int64_t c = columns; c-- > 0;) {
      to[c] *= behind;
      behind *= from[c];
    }
    from += columns;
    to += columns;
  }
}

void CpuBackend::quadratic_forward(Stream&, const Tensor& x, const Tensor& a, const Tensor& b,
                                   const Tensor& c, Tensor& y) {
  cpu::check_shape(y, x.shape(), "y");
  const float a0 = coefficient(a, "a"), b0 = coefficient(b, "b"), c0 = coefficient(c, "c");
  const float* from = x.data<float>();
  for (float& value : y.span<float>()) {
    value = std::fma(std::fma(a0, *from, b0), *from, c0);
    ++from;
  }
}

void CpuBackend::quadratic_backward(Stream&, const Tensor& x, const Tensor& dy, const Tensor& a,
                                    const Tensor& b, Tensor& da, Tensor& db, Tensor& dc,
                                    Tensor& dx) {
  cpu::check_shape(dy, x.shape(), "dy");
  const float twice_a = 2 * coefficient(a, "a"), b0 = coefficient(b, "b");
  double sums[3] = {0, 0, 0};
  for (std::int64_t i = 0; i < x.elements(); ++i) {
    const double point = x.data<float>()[i], gradient = dy.data<float>()[i];
    sums[0] += gradient * point * point;
    sums[1] += gradient * point;
    sums[2] += gradient;
  }
  const Tensor* const results[] = {&da, &db, &dc};
  for (std::size_t i = 0; i < 3; ++i) {
    cpu::check_count(*results[i], 1, "a coefficient's gradient");
    results[i]->data<float>()[0] = static_cast<float>(sums[i]);
  }
  if (!dx) return;
  cpu::check_shape(dx, x.shape(), "dx");
  for (std::int64_t i = 0; i < x.elements(); ++i)
    dx.data<float>()[i] = dy.data<float>()[i] * std::fma(twice_a, x.data<float>()[i], b0);
}

}  // namespace lockstep
