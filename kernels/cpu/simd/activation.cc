// Activations with their gradients, which are functions of y, or of x where y does not tell
// (GELU and SiLU, which fall and rise again). A NaN passes through.
#include "kernels/cpu/simd/map.h"
#include "kernels/cpu/simd/math.h"
#include "kernels/cpu/simd/tables.h"

namespace lockstep::cpu::LOCKSTEP_ISA {

namespace {

void relu_forward(float, const float* x, float* y, std::int64_t n) {
  const V zero = set1(0.0f);
  map(x, y, n, [=](V v) { return select(less(v, zero), zero, v); });
}

// A NaN of y marks its gradient too: only y <= 0 stops it.
void relu_backward(float, const float* y, const float* dy, float* dx, std::int64_t n) {
  const V zero = set1(0.0f);
  map(y, dy, dx, n, [=](V v, V d) { return select(less_equal(v, zero), zero, d); });
}

void sigmoid_forward(float, const float* x, float* y, std::int64_t n) {
  map(x, y, n, [](V v) { return sigmoid(v); });
}

void sigmoid_backward(float, const float* y, const float* dy, float* dx, std::int64_t n) {
  const V one = set1(1.0f);
  map(y, dy, dx, n, [=](V v, V d) { return mul(d, mul(v, sub(one, v))); });
}

void tanh_forward(float, const float* x, float* y, std::int64_t n) {
  map(x, y, n, [](V v) { return tanh(v); });
}

void tanh_backward(float, const float* y, const float* dy, float* dx, std::int64_t n) {
  const V one = set1(1.0f);
  map(y, dy, dx, n, [=](V v, V d) { return mul(d, fnma(v, v, one)); });
}

void leaky_relu_forward(float slope, const float* x, float* y, std::int64_t n) {
  const V zero = set1(0.0f), factor = set1(slope);
  map(x, y, n, [=](V v) { return select(less(v, zero), mul(v, factor), v); });
}

// At 0 the slope is that of the negative side, as PyTorch's.
void leaky_relu_backward(float slope, const float* y, const float* dy, float* dx, std::int64_t n) {
  const V zero = set1(0.0f), factor = set1(slope);
  map(y, dy, dx, n, [=](V v, V d) { return select(less_equal(v, zero), mul(d, factor), d); });
}

void elu_forward(float alpha, const float* x, float* y, std::int64_t n) {
  const V zero = set1(0.0f), factor = set1(alpha);
  map(x, y, n,
      [=](V v) { return select(less(zero, v), v, mul(factor, expm1_negative(min(zero, v)))); });
}

// alpha e^x = y + alpha
void elu_backward(float alpha, const float* y, const float* dy, float* dx, std::int64_t n) {
  const V zero = set1(0.0f), factor = set1(alpha);
  map(y, dy, dx, n, [=](V v, V d) { return select(less(zero, v), d, mul(d, add(v, factor))); });
}

// Beyond +-kFlat both forms of GELU are x or 0, and squares and cubes of x may not overflow.
constexpr float kFlat = 16.0f;
LOCKSTEP_INLINE V within_curve(V x) {
  return min(set1(kFlat), max(set1(-kFlat), x));  // NaN stays
}

// 1 + erf(x / √2), twice the normal distribution
LOCKSTEP_INLINE V twice_normal(V x) {
  return add(set1(1.0f), erf(mul(x, set1(0.70710678118654752f))));
}

void gelu_forward(float, const float* x, float* y, std::int64_t n) {
  const V half = set1(0.5f);
  map(x, y, n, [=](V v) { return mul(mul(half, v), twice_normal(v)); });
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

// √(2/π) (x + 0.044715 x³) (Hendrycks and Gimpel 2016)
constexpr float kSteep = 0.79788456080286536f, kCubic = 0.044715f;
LOCKSTEP_INLINE V gelu_angle(V c) {
  return mul(set1(kSteep), mul(c, fma(set1(kCubic), mul(c, c), set1(1.0f))));
}

void gelu_tanh_forward(float, const float* x, float* y, std::int64_t n) {
  const V half = set1(0.5f), one = set1(1.0f);
  map(x, y, n, [=](V v) { return mul(mul(half, v), add(one, tanh(gelu_angle(within_curve(v))))); });
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

void silu_forward(float, const float* x, float* y, std::int64_t n) {
  const V zero = set1(0.0f), one = set1(1.0f);
  map(x, y, n, [=](V v) { return div(v, add(one, exp(sub(zero, v)))); });
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
    .relu = {relu_forward, relu_backward},
    .sigmoid = {sigmoid_forward, sigmoid_backward},
    .tanh = {tanh_forward, tanh_backward},
    .leaky_relu = {leaky_relu_forward, leaky_relu_backward},
    .elu = {elu_forward, elu_backward},
    .gelu = {gelu_forward, gelu_backward},
    .gelu_tanh = {gelu_tanh_forward, gelu_tanh_backward},
    .silu = {silu_forward, silu_backward},
};

}  // namespace lockstep::cpu::LOCKSTEP_ISA
