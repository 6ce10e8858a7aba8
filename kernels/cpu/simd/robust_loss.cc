// Losses that grow no faster than the error: absolute, Huber, hinge.
#include "kernels/cpu/simd/map.h"
#include "kernels/cpu/simd/math.h"
#include "kernels/cpu/simd/tables.h"

namespace lockstep::cpu::LOCKSTEP_ISA {

namespace {

// |p - t|, and the sign of p - t, which is 0 where they are equal
void absolute(const float* prediction, const float* target, std::int64_t n, float* loss,
              float* gradient) {
  map(prediction, target, loss, n, [](V p, V t) { return abs(sub(p, t)); });
  if (!gradient) return;
  const V zero = set1(0.0f), one = set1(1.0f);
  map(prediction, target, gradient, n, [=](V p, V t) {
    const V e = sub(p, t);
    return select(equal(e, e), select(equal(e, zero), zero, with_sign(one, e)), e);
  });
}

// e² / 2 where |e| <= delta, delta (|e| - delta / 2) elsewhere; e cut off at +-delta
void huber(float delta, const float* prediction, const float* target, std::int64_t n, float* loss,
           float* gradient) {
  const V limit = set1(delta), half = set1(0.5f), offset = set1(0.5f * delta);
  map(prediction, target, loss, n, [=](V p, V t) {
    const V size = abs(sub(p, t));
    return select(less_equal(size, limit), mul(half, mul(size, size)),
                  mul(limit, sub(size, offset)));
  });
  if (!gradient) return;
  const V low = set1(-delta);
  map(prediction, target, gradient, n,
      [=](V p, V t) { return min(limit, max(low, sub(p, t))); });  // NaN stays
}

// Margins are 1 - x_label + x_c. Each that is above 0 pulls x_c down and x_label up by 1 / classes.
float hinge_label(const float* logits, std::int64_t label, std::int64_t classes, float weight,
                  float* gradient) {
  const V base = set1(1.0f - logits[label]), zero = set1(0.0f), one = set1(1.0f);
  const auto count = static_cast<float>(classes);
  const V share = set1(weight / count);
  Lanes16 sums = lanes16(0.0f), counts = lanes16(0.0f);
  for (std::int64_t start = 0; start < classes; start += 16) {
    for (int j = 0; j < kVectorsOf16; ++j) {
      const int n = lanes_within(classes - start, j);
      if (n == 0) break;
      const std::int64_t i = start + j * kWidth;
      const V margin = add(base, load(logits + i, n));
      const I other = sub(lane_index(), set1_int(static_cast<std::int32_t>(label - i)));
      // Not (margin <= 0), so that a NaN is seen.
      const M misses = mask_and(mask_and(first_lanes(n), mask_not(less_equal(margin, zero))),
                                mask_not(equal(other, set1_int(0))));
      sums.v[j] = add(sums.v[j], select(misses, margin, zero));
      counts.v[j] = add(counts.v[j], select(misses, one, zero));
      if (gradient) store(gradient + i, select(misses, share, zero), n);
    }
  }
  if (gradient) gradient[label] = -(weight / count) * sum(counts);
  return sum(sums) / count;
}

}  // namespace

const RobustLossKernels kRobustLossKernels = {absolute, huber, hinge_label};

}  // namespace lockstep::cpu::LOCKSTEP_ISA
