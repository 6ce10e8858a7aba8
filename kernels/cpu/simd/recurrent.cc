// One row of an LSTM's or a GRU's cell, forward and backward, with the gates in PyTorch's order.
// The elements are independent of each other.
#include "kernels/cpu/simd/map.h"
#include "kernels/cpu/simd/math.h"
#include "kernels/cpu/simd/tables.h"

namespace lockstep::cpu::LOCKSTEP_ISA {

namespace {

// step(i, n): elements [i, i + n) of n_all, at most a vector of them.
template <typename Step>
LOCKSTEP_INLINE void for_vectors(std::int64_t n_all, Step step) {
  std::int64_t i = 0;
  for (; i + kWidth <= n_all; i += kWidth) step(i, kWidth);
  if (i < n_all) step(i, static_cast<int>(n_all - i));
}

// dx = dy y (1 - y), and dx = dy (1 - y²)
LOCKSTEP_INLINE V sigmoid_backward(V y, V dy) {
  return mul(dy, mul(y, sub(set1(1.0f), y)));
}
LOCKSTEP_INLINE V tanh_backward(V y, V dy) {
  return mul(dy, fnma(y, y, set1(1.0f)));
}

// i, f, o = sigmoid(x + h), g = tanh(x + h); c' = f c + i g; y = o tanh(c')
void lstm_forward(const float* x, const float* h, const float* c_before, std::int64_t hidden,
                  float* gates, float* c, float* y) {
  for_vectors(
      hidden, [&](std::int64_t at, int n) __attribute__((always_inline)) {
        const auto sum_of = [&](std::int64_t gate) __attribute__((always_inline)) {
          const std::int64_t place = gate * hidden + at;
          return add(load(x + place, n), load(h + place, n));
        };
        const V i = sigmoid(sum_of(0)), f = sigmoid(sum_of(1)), g = tanh(sum_of(2));
        const V o = sigmoid(sum_of(3));
        const V cell = fma(f, load(c_before + at, n), mul(i, g));
        store(gates + at, i, n);
        store(gates + hidden + at, f, n);
        store(gates + 2 * hidden + at, g, n);
        store(gates + 3 * hidden + at, o, n);
        store(c + at, cell, n);
        store(y + at, mul(o, tanh(cell)), n);
      });
}

void lstm_backward(const float* gates, const float* c_before, const float* c, const float* dy,
                   const float* dc, std::int64_t hidden, float* dgates, float* dc_before) {
  for_vectors(
      hidden, [&](std::int64_t at, int n) __attribute__((always_inline)) {
        const V i = load(gates + at, n), f = load(gates + hidden + at, n);
        const V g = load(gates + 2 * hidden + at, n), o = load(gates + 3 * hidden + at, n);
        const V before = load(c_before + at, n), squashed = tanh(load(c + at, n));
        const V out = load(dy + at, n);
        const V dcell = add(load(dc + at, n), tanh_backward(squashed, mul(out, o)));
        store(dgates + at, sigmoid_backward(i, mul(dcell, g)), n);
        store(dgates + hidden + at, sigmoid_backward(f, mul(dcell, before)), n);
        store(dgates + 2 * hidden + at, tanh_backward(g, mul(dcell, i)), n);
        store(dgates + 3 * hidden + at, sigmoid_backward(o, mul(out, squashed)), n);
        store(dc_before + at, mul(dcell, f), n);
      });
}

// r, z = sigmoid(x + h); n = tanh(x_n + r h_n); y = n + z (h_before - n)
void gru_forward(const float* x, const float* h, const float* h_before, std::int64_t hidden,
                 float* gates, float* y) {
  for_vectors(
      hidden, [&](std::int64_t at, int n) __attribute__((always_inline)) {
        const float *const x_z = x + hidden + at, *const h_z = h + hidden + at;
        const float *const x_n = x + 2 * hidden + at, *const h_n = h + 2 * hidden + at;
        const V r = sigmoid(add(load(x + at, n), load(h + at, n)));
        const V z = sigmoid(add(load(x_z, n), load(h_z, n)));
        const V candidate = tanh(fma(r, load(h_n, n), load(x_n, n)));
        store(gates + at, r, n);
        store(gates + hidden + at, z, n);
        store(gates + 2 * hidden + at, candidate, n);
        store(y + at, fma(z, sub(load(h_before + at, n), candidate), candidate), n);
      });
}

void gru_backward(const float* gates, const float* h, const float* h_before, const float* dy,
                  std::int64_t hidden, float* dx, float* dh, float* dh_before) {
  for_vectors(
      hidden, [&](std::int64_t at, int n) __attribute__((always_inline)) {
        const V r = load(gates + at, n), z = load(gates + hidden + at, n);
        const V candidate = load(gates + 2 * hidden + at, n);
        const V h_n = load(h + 2 * hidden + at, n), before = load(h_before + at, n);
        const V out = load(dy + at, n);
        const V dz = sigmoid_backward(z, mul(out, sub(before, candidate)));
        const V dn = tanh_backward(candidate, mul(out, sub(set1(1.0f), z)));
        const V dr = sigmoid_backward(r, mul(dn, h_n));
        store(dx + at, dr, n);
        store(dx + hidden + at, dz, n);
        store(dx + 2 * hidden + at, dn, n);
        store(dh + at, dr, n);
        store(dh + hidden + at, dz, n);
        store(dh + 2 * hidden + at, mul(dn, r), n);
        store(dh_before + at, mul(out, z), n);
      });
}

}  // namespace

const RecurrentKernels kRecurrentKernels = {lstm_forward, lstm_backward, gru_forward, gru_backward};

}  // namespace lockstep::cpu::LOCKSTEP_ISA
