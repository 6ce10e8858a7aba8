// Activations with their gradients, which are functions of y, or of x where y does not tell
// (GELU and SiLU, which fall and rise again). A NaN passes through.
#include "kernels/cpu/simd/activations.h"
#include "kernels/cpu/simd/map.h"
#include "kernels/cpu/simd/tables.h"

namespace lockstep::cpu::LOCKSTEP_ISA {

namespace {

template <V (*kActivation)(V, V)>
void forward(float parameter, const float* x, float* y, std::int64_t n) {
  const V p = set1(parameter);
  map(
      x, y, n, [=](V v) __attribute__((always_inline)) { return kActivation(v, p); });
}

// A NaN of y marks its gradient too: only y <= 0 stops it.
void relu_backward(float, const float* y, const float* dy, float* dx, std::int64_t n) {
  const V zero = set1(0.0f);
  map(y, dy, dx, n, [=](V v, V d) { return select(less_equal(v, zero), zero, d); });
}

void sigmoid_backward(float, const float* y, const float* dy, float* dx, std::int64_t n) {
  const V one = set1(1.0f);
  map(y, dy, dx, n, [=](V v, V d) { return mul(d, mul(v, sub(one, v))); });
}

void tanh_backward(float, const float* y, const float* dy, float* dx, std::int64_t n) {
  const V one = set1(1.0f);
  map(y, dy, dx, n, [=](V v, V d) { return mul(d, fnma(v, v, one)); });
}

// At 0 the slope is that of the negative side, as PyTorch's.
void leaky_relu_backward(float slope, const float* y, const float* dy, float* dx, std::int64_t n) {
  const V zero = set1(0.0f), factor = set1(slope);
  map(y, dy, dx, n, [=](V v, V d) { return select(less_equal(v, zero), mul(d, factor), d); });
}

// alpha e^x = y + alpha
void elu_backward(float alpha, const float* y, const float* dy, float* dx, std::int64_t n) {
  const V zero = set1(0.0f), factor = set1(alpha);
  map(y, dy, dx, n, [=](V v, V d) { return select(less(zero, v), d, mul(d, add(v, factor))); });
}

// Φ(x) + x φ(x), φ(x) = e^(-x²/2) / √(2π)
void gelu_backward(float, const float* x, const float* dy, float* dx, std::int64_t n) {
  const V half = set1(0.5f), minus_half = set1(-0.5f), height = set1(0.39894228040143268f);
  map(x, dy, dx, n, [=](V v, V d) {
    const V c = within_curve(v);
    const V bell = mul(height, exp(mul(minus_half, mul(c, c))));
    return mul(d, fma(c, bell, mul(half, twice_normal(v))));
  });
}

// (1 + t) / 2 + x (1 - t²) / 2 · √(2/π) (1 + 3 · 0.044715 x²)
void gelu_tanh_backward(float, const float* x, const float* dy, float* dx, std::int64_t n) {
  const V half = set1(0.5f), one = set1(1.0f);
  map(x, dy, dx, n, [=](V v, V d) {
    const V c = within_curve(v);
    const V t = tanh(gelu_angle(c));
    const V angle_slope = mul(set1(kSteep), fma(set1(3 * kCubic), mul(c, c), one));
    const V bend = mul(mul(c, fnma(t, t, one)), angle_slope);
    return mul(d, mul(half, add(add(one, t), bend)));
  });
}

// s (1 + x (1 - s)), s = sigmoid(x)
void silu_backward(float, const float* x, const float* dy, float* dx, std::int64_t n) {
  const V one = set1(1.0f);
  map(x, dy, dx, n, [=](V v, V d) {
    const V s = sigmoid(v);
    return mul(d, mul(s, fma(v, sub(one, s), one)));
  });
}

}  // namespace

const ActivationKernels kActivationKernels = {
    .relu = {forward<relu_of>, relu_backward},
    .sigmoid = {forward<sigmoid_of>, sigmoid_backward},
    .tanh = {forward<tanh_of>, tanh_backward},
    .leaky_relu = {forward<leaky_relu_of>, leaky_relu_backward},
    .elu = {forward<elu_of>, elu_backward},
    .gelu = {forward<gelu_of>, gelu_backward},
    .gelu_tanh = {forward<gelu_tanh_of>, gelu_tanh_backward},
    .silu = {forward<silu_of>, silu_backward},
};

}  // namespace lockstep::cpu::LOCKSTEP_ISA
