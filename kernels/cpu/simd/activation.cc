// ReLU, sigmoid and tanh with their gradients, which are functions of y. A NaN passes through.
#include "kernels/cpu/simd/map.h"
#include "kernels/cpu/simd/math.h"
#include "kernels/cpu/simd/tables.h"

namespace lockstep::cpu::LOCKSTEP_ISA {

namespace {

void relu_forward(const float* x, float* y, std::int64_t n) {
  const V zero = set1(0.0f);
  map(x, y, n, [=](V v) { return select(less(v, zero), zero, v); });
}

// A NaN of y marks its gradient too: only y <= 0 stops it.
void relu_backward(const float* y, const float* dy, float* dx, std::int64_t n) {
  const V zero = set1(0.0f);
  map(y, dy, dx, n, [=](V v, V d) { return select(less_equal(v, zero), zero, d); });
}

void sigmoid_forward(const float* x, float* y, std::int64_t n) {
  map(x, y, n, [](V v) { return sigmoid(v); });
}

void sigmoid_backward(const float* y, const float* dy, float* dx, std::int64_t n) {
  const V one = set1(1.0f);
  map(y, dy, dx, n, [=](V v, V d) { return mul(d, mul(v, sub(one, v))); });
}

void tanh_forward(const float* x, float* y, std::int64_t n) {
  map(x, y, n, [](V v) { return tanh(v); });
}

void tanh_backward(const float* y, const float* dy, float* dx, std::int64_t n) {
  const V one = set1(1.0f);
  map(y, dy, dx, n, [=](V v, V d) { return mul(d, fnma(v, v, one)); });
}

}  // namespace

const ActivationKernels kActivationKernels = {relu_forward,     relu_backward, sigmoid_forward,
                                              sigmoid_backward, tanh_forward,  tanh_backward};

}  // namespace lockstep::cpu::LOCKSTEP_ISA
