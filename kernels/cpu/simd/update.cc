// The step's reduction and update on flat slices: each array is read and written once.
#include "kernels/cpu/simd/map.h"
#include "kernels/cpu/simd/math.h"
#include "kernels/cpu/simd/tables.h"

namespace lockstep::cpu::LOCKSTEP_ISA {

namespace {

// x / d rounded as IEEE division rounds it, from r = 1 / d, without the divider: one Newton
// correction of x r by its exact remainder (P. Markstein, IBM J. Res. Dev. 34 (1990), theorem 2).
// Where the remainder underflows the last bit may differ, on every processor alike.
LOCKSTEP_INLINE V divide(V x, V d, V r) {
  const V q = mul(x, r);
  const V corrected = fma(fnma(q, d, x), r, q);
  // Infinities have no remainder.
  return select(equal(sub(q, q), set1(0.0f)), corrected, q);
}

// kVectors vectors of elements from offset i on, the last of n lanes, through the binary counter.
template <int kVectors>
LOCKSTEP_INLINE void tree_chunk(const float* const* nodes, const int* joins, int count, V divisor,
                                V inverse, float* y, std::int64_t i, int n) {
  V stack[kMaxTreeDepth][kVectors];
  V top[kVectors];
  for (int v = 0; v < kVectors; ++v) top[v] = set1(0.0f);
  int height = 0;
  for (int node = 0; node < count; ++node) {
    for (int v = 0; v < kVectors; ++v) {
      const float* p = nodes[node] + i + v * kWidth;
      top[v] = n == kWidth ? load(p) : load(p, n);
    }
    for (int join = 0; join < joins[node]; ++join) {
      --height;
      for (int v = 0; v < kVectors; ++v) top[v] = add(stack[height][v], top[v]);
    }
    for (int v = 0; v < kVectors; ++v) stack[height][v] = top[v];
    ++height;
  }
  for (int v = 0; v < kVectors; ++v) {
    const V result = divide(top[v], divisor, inverse);
    if (n == kWidth) {
      store(y + i + v * kWidth, result);
    } else {
      store(y + i + v * kWidth, result, n);
    }
  }
}

void tree_sum(const float* const* nodes, const int* joins, int count, float divisor, float* y,
              std::int64_t n) {
  const V d = set1(divisor), inverse = set1(1.0f / divisor);
  std::int64_t i = 0;
  for (; i + 4 * kWidth <= n; i += 4 * kWidth)
    tree_chunk<4>(nodes, joins, count, d, inverse, y, i, kWidth);
  for (; i + kWidth <= n; i += kWidth) tree_chunk<1>(nodes, joins, count, d, inverse, y, i, kWidth);
  if (i < n) tree_chunk<1>(nodes, joins, count, d, inverse, y, i, static_cast<int>(n - i));
}

void squared_norms(const float* x, std::int64_t block, std::int64_t n, double* out) {
  for (std::int64_t start = 0; start < n; start += block) {
    const std::int64_t count = n - start < block ? n - start : block;
    DoubleLanes16 lanes = double_lanes16(0.0);
    std::int64_t i = 0;
    for (; i + 16 <= count; i += 16) {
      for (int j = 0; j < kVectorsOf16; ++j) {
        const D value = to_double(load(x + start + i + j * kWidth));
        lanes.v[j] = fma(value, value, lanes.v[j]);
      }
    }
    for (int j = 0; j < kVectorsOf16; ++j) {
      const int rest = lanes_within(count - i, j);
      if (rest == 0) break;
      const D value = to_double(load(x + start + i + j * kWidth, rest));
      lanes.v[j] = fma(value, value, lanes.v[j]);
    }
    *out++ = sum(lanes);
  }
}

// g += decay · value; momentum = momentum · m + (1 - dampening) · g (g itself at first);
// value -= lr · (nesterov ? g + momentum · m : m)
void sgd(const SgdScalars& s, const float* gradient, float* value, float* momentum,
         std::int64_t n) {
  const V lr = set1(s.lr), decay = set1(s.decay), keep = set1(s.momentum);
  const V fresh = set1(s.one_minus_dampening);
  for (std::int64_t i = 0; i < n; i += kWidth) {
    const int lanes = n - i < kWidth ? static_cast<int>(n - i) : kWidth;
    const V old = load(value + i, lanes);
    V g = fma(decay, old, load(gradient + i, lanes));
    if (momentum) {
      const V m = s.first_step ? g : fma(keep, load(momentum + i, lanes), mul(fresh, g));
      store(momentum + i, m, lanes);
      g = s.nesterov ? fma(keep, m, g) : m;
    }
    store(value + i, fnma(lr, g, old), lanes);
  }
}

LOCKSTEP_INLINE void adam_lanes(const AdamScalars& s, V g, V& value, V& m, V& v) {
  g = fma(set1(s.decay), value, g);
  m = fma(set1(s.one_minus_beta1), sub(g, m), m);
  v = fma(mul(set1(s.one_minus_beta2), g), g, mul(set1(s.beta2), v));
  const V root = fma(sqrt(v), set1(s.inv_sqrt_correction2), set1(s.epsilon));
  value = fnma(set1(s.step_size), div(m, root), mul(value, set1(s.shrink)));
}

void adam(const AdamScalars& s, const float* gradient, float* value, float* m, float* v,
          std::int64_t n) {
  std::int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    V w = load(value + i), first = load(m + i), second = load(v + i);
    adam_lanes(s, load(gradient + i), w, first, second);
    store(value + i, w);
    store(m + i, first);
    store(v + i, second);
  }
  const int rest = static_cast<int>(n - i);
  if (rest == 0) return;
  V w = load(value + i, rest), first = load(m + i, rest), second = load(v + i, rest);
  adam_lanes(s, load(gradient + i, rest), w, first, second);
  store(value + i, w, rest);
  store(m + i, first, rest);
  store(v + i, second, rest);
}

// square = alpha · square + (1 - alpha) g²; where centered, mean = mean + (1 - alpha)(g - mean) and
// the variance square - mean² takes square's place (0 where rounding makes it less); momentum
// collects g / (√ + epsilon).     (Tieleman and Hinton 2012; Graves 2013; torch.optim.RMSprop)
void rmsprop(const RmspropScalars& s, const float* gradient, float* value, float* square,
             float* momentum, float* mean, std::int64_t n) {
  const V lr = set1(s.lr), alpha = set1(s.alpha), fresh = set1(s.one_minus_alpha);
  const V epsilon = set1(s.epsilon), keep = set1(s.momentum), decay = set1(s.decay);
  const V zero = set1(0.0f);
  for (std::int64_t i = 0; i < n; i += kWidth) {
    const int lanes = n - i < kWidth ? static_cast<int>(n - i) : kWidth;
    const V old = load(value + i, lanes);
    const V g = fma(decay, old, load(gradient + i, lanes));
    V v = fma(mul(fresh, g), g, mul(alpha, load(square + i, lanes)));
    store(square + i, v, lanes);
    if (mean) {
      V m = load(mean + i, lanes);
      m = fma(fresh, sub(g, m), m);
      store(mean + i, m, lanes);
      v = max(zero, fnma(m, m, v));
    }
    V step = div(g, add(sqrt(v), epsilon));
    if (momentum) {
      step = fma(keep, load(momentum + i, lanes), step);
      store(momentum + i, step, lanes);
    }
    store(value + i, fnma(lr, step, old), lanes);
  }
}

// sum += g²; value -= lr · g / (√sum + epsilon)     (Duchi, Hazan, Singer 2011;
// torch.optim.Adagrad)
void adagrad(const AdagradScalars& s, const float* gradient, float* value, float* sum,
             std::int64_t n) {
  const V lr = set1(s.lr), epsilon = set1(s.epsilon), decay = set1(s.decay);
  const V initial = set1(s.initial);
  for (std::int64_t i = 0; i < n; i += kWidth) {
    const int lanes = n - i < kWidth ? static_cast<int>(n - i) : kWidth;
    const V old = load(value + i, lanes);
    const V g = fma(decay, old, load(gradient + i, lanes));
    const V total = fma(g, g, s.first_step ? initial : load(sum + i, lanes));
    store(sum + i, total, lanes);
    store(value + i, fnma(lr, div(g, add(sqrt(total), epsilon)), old), lanes);
  }
}

void clamp(float limit, float* x, std::int64_t n) {
  const V high = set1(limit), low = set1(-limit);
  map(x, x, n, [=](V v) { return min(high, max(low, v)); });
}

void add_penalty(float l1, float l2, const float* value, float* gradient, std::int64_t n) {
  const V absolute = set1(l1), square = set1(l2), zero = set1(0.0f);
  map(value, gradient, gradient, n, [=](V v, V g) {
    const V pull = select(equal(v, zero), zero, with_sign(absolute, v));
    return add(g, fma(square, v, pull));
  });
}

void running_average(float momentum, const float* mean, float* value, std::int64_t n) {
  const V fresh = set1(momentum), keep = set1(1.0f - momentum);
  map(mean, value, value, n, [=](V x, V old) { return fma(fresh, x, mul(keep, old)); });
}

}  // namespace

const UpdateKernels kUpdateKernels = {
    .tree_sum = tree_sum,
    .squared_norms = squared_norms,
    .sgd = sgd,
    .adam = adam,
    .rmsprop = rmsprop,
    .adagrad = adagrad,
    .clamp = clamp,
    .add_penalty = add_penalty,
    .running_average = running_average,
};

}  // namespace lockstep::cpu::LOCKSTEP_ISA
