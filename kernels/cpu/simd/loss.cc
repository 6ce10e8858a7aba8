// Softmax and the losses. Along a row, element i belongs to virtual lane i mod 16, and the lanes
// join in one fixed tree, so that the bits do not depend on the vectors' width.
#include "kernels/cpu/simd/map.h"
#include "kernels/cpu/simd/math.h"
#include "kernels/cpu/simd/tables.h"

namespace lockstep::cpu::LOCKSTEP_ISA {

namespace {

// step(i, j, n): elements i .. i + n of the row, which are vector j of the 16 lanes.
template <typename Step>
LOCKSTEP_INLINE void for_lanes16(std::int64_t count, Step step) {
  for (std::int64_t start = 0; start < count; start += 16) {
    for (int j = 0; j < kVectorsOf16; ++j) {
      const int n = lanes_within(count - start, j);
      if (n > 0) step(start + j * kWidth, j, n);
    }
  }
}

// The greatest element. A NaN may be lost here; e^(x - maximum) then finds it again.
LOCKSTEP_INLINE float row_maximum(const float* x, std::int64_t count) {
  const V lowest = set1(-__builtin_inff());
  Lanes16 lanes = lanes16(-__builtin_inff());
  for_lanes16(
      count, [&](std::int64_t i, int j, int n) __attribute__((always_inline)) {
        lanes.v[j] = max(lanes.v[j], select(first_lanes(n), load(x + i, n), lowest));
      });
  return maximum(lanes);
}

// Σ e^(x - shift); where y is not null it receives the terms.
LOCKSTEP_INLINE float exponentials(const float* x, float shift, std::int64_t count, float* y) {
  const V zero = set1(0.0f), offset = set1(shift);
  Lanes16 lanes = lanes16(0.0f);
  for_lanes16(
      count, [&](std::int64_t i, int j, int n) __attribute__((always_inline)) {
        const V e = exp(sub(load(x + i, n), offset));
        if (y) store(y + i, e, n);
        lanes.v[j] = add(lanes.v[j], select(first_lanes(n), e, zero));
      });
  return sum(lanes);
}

LOCKSTEP_INLINE float log_of(float x) {
  float values[kWidth];
  store(values, log(set1(x)));
  return values[0];
}

void softmax_forward(const float* x, std::int64_t rows, std::int64_t classes, float* y) {
  for (std::int64_t row = 0; row < rows; ++row, x += classes, y += classes) {
    const V total = set1(exponentials(x, row_maximum(x, classes), classes, y));
    const M sound = equal(total, total);  // else one and the same NaN for the whole row
    const V unknown = set1(__builtin_nanf(""));
    map(y, y, classes, [=](V e) { return select(sound, div(e, total), unknown); });
  }
}

// dx = y (dy - Σ y dy)
void softmax_backward(const float* y, const float* dy, std::int64_t rows, std::int64_t classes,
                      float* dx) {
  for (std::int64_t row = 0; row < rows; ++row, y += classes, dy += classes, dx += classes) {
    Lanes16 lanes = lanes16(0.0f);
    for_lanes16(
        classes, [&](std::int64_t i, int j, int n) __attribute__((always_inline)) {
          lanes.v[j] = fma(load(y + i, n), load(dy + i, n), lanes.v[j]);
        });
    const V product = set1(sum(lanes));
    map(y, dy, dx, classes, [=](V p, V d) { return mul(p, sub(d, product)); });
  }
}

// x - max - log Σ e^(x - max)
void log_softmax_forward(const float* x, std::int64_t rows, std::int64_t classes, float* y) {
  for (std::int64_t row = 0; row < rows; ++row, x += classes, y += classes) {
    const float shift = row_maximum(x, classes);
    const float total = exponentials(x, shift, classes, nullptr);
    const V offset = set1(shift), log_total = set1(log_of(total)), unknown = set1(total);
    const M sound = equal(unknown, unknown);  // else one and the same NaN for the whole row
    map(x, y, classes, [=](V v) { return select(sound, sub(sub(v, offset), log_total), unknown); });
  }
}

// dx = dy - e^y Σ dy
void log_softmax_backward(const float* y, const float* dy, std::int64_t rows, std::int64_t classes,
                          float* dx) {
  for (std::int64_t row = 0; row < rows; ++row, y += classes, dy += classes, dx += classes) {
    Lanes16 lanes = lanes16(0.0f);
    for_lanes16(
        classes, [&](std::int64_t i, int j, int n) __attribute__((always_inline)) {
          lanes.v[j] = add(lanes.v[j], load(dy + i, n));
        });
    const V total = set1(sum(lanes));
    map(y, dy, dx, classes, [=](V p, V d) { return fnma(exp(p), total, d); });
  }
}

// -log softmax(x)[c] = log Σ e^(x - max) - (x[c] - max); the gradient of Σ q (-log softmax) is
// (Σ q) softmax - q. A class with q = 0 adds nothing, even where its logit is -inf.
float cross_entropy(const float* logits, const float* q, std::int64_t classes, float weight,
                    float* gradient) {
  const float shift = row_maximum(logits, classes);
  const float total = exponentials(logits, shift, classes, gradient);
  const V offset = set1(shift), log_total = set1(log_of(total)), zero = set1(0.0f);
  Lanes16 loss = lanes16(0.0f), mass = lanes16(0.0f);
  for_lanes16(
      classes, [&](std::int64_t i, int j, int n) __attribute__((always_inline)) {
        const V share = load(q + i, n);
        const V surprise = sub(log_total, sub(load(logits + i, n), offset));
        loss.v[j] = add(loss.v[j], select(equal(share, zero), zero, mul(share, surprise)));
        mass.v[j] = add(mass.v[j], share);
      });
  if (gradient) {
    const V factor = set1(sum(mass) / total), scale = set1(weight);
    map(gradient, q, gradient, classes,
        [=](V e, V share) { return mul(scale, sub(mul(e, factor), share)); });
  }
  // 0 · total keeps a NaN of a class whose q is zero.
  return sum(loss) + 0.0f * total;
}

float cross_entropy_label(const float* logits, std::int64_t label, float q, std::int64_t classes,
                          float weight, float* gradient) {
  const float shift = row_maximum(logits, classes);
  const float total = exponentials(logits, shift, classes, gradient);
  if (gradient) {
    const V factor = set1(weight * (q / total));
    map(gradient, gradient, classes, [=](V e) { return mul(e, factor); });
    // Twice rounded as the array form would: the class's own share leaves last.
    gradient[label] -= weight * q;
  }
  return q * (log_of(total) - (logits[label] - shift));
}

// max(x, 0) - x t + log (1 + e^-|x|), and sigmoid(x) - t
void binary_cross_entropy(const float* logits, const float* target, std::int64_t n, float* loss,
                          float* gradient) {
  map(logits, target, loss, n, [](V x, V t) { return fnma(x, t, softplus(x)); });
  if (gradient) map(logits, target, gradient, n, [](V x, V t) { return sub(sigmoid(x), t); });
}

// (p - t)², and 2 (p - t)
void squared_error(const float* prediction, const float* target, std::int64_t n, float* loss,
                   float* gradient) {
  map(prediction, target, loss, n, [](V p, V t) {
    const V error = sub(p, t);
    return mul(error, error);
  });
  if (gradient) {
    map(prediction, target, gradient, n, [](V p, V t) {
      const V error = sub(p, t);
      return add(error, error);
    });
  }
}

double sum_in_double(const float* x, std::int64_t n) {
  DoubleLanes16 lanes = double_lanes16(0.0);
  for_lanes16(
      n, [&](std::int64_t i, int j, int count) __attribute__((always_inline)) {
        lanes.v[j] = add(lanes.v[j], to_double(load(x + i, count)));
      });
  return sum(lanes);
}

void absolute_error(const float* prediction, const float* target, std::int64_t n, float* error) {
  map(prediction, target, error, n, [](V p, V t) { return abs(sub(p, t)); });
}

}  // namespace

const LossKernels kLossKernels = {
    .softmax_forward = softmax_forward,
    .softmax_backward = softmax_backward,
    .log_softmax_forward = log_softmax_forward,
    .log_softmax_backward = log_softmax_backward,
    .cross_entropy = cross_entropy,
    .cross_entropy_label = cross_entropy_label,
    .binary_cross_entropy = binary_cross_entropy,
    .squared_error = squared_error,
    .absolute_error = absolute_error,
    .sum = sum_in_double,
};

}  // namespace lockstep::cpu::LOCKSTEP_ISA
