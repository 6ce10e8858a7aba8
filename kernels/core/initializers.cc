#include "kernels/core/initializers.h"

#include <cmath>

#include "kernels/core/error.h"
#include "kernels/core/portable_math.h"

namespace lockstep {

namespace {

// Σ c[i] x^i
double polynomial(const double (&c)[8], double x) {
  double sum = c[7];
  for (int i = 6; i >= 0; --i) sum = sum * x + c[i];
  return sum;
}

double root_of_fan(std::int64_t fan) {
  LOCKSTEP_CHECK(fan > 0, "a layer with {} inputs has no default weights", fan);
  return std::sqrt(static_cast<double>(fan));
}

// The element's first number that lies within the bounds. Attempt n reads sample n's block.
double truncated_normal(const Initializer& initializer, const RandomKey& key, std::size_t block,
                        std::size_t word) {
  for (std::uint64_t attempt = 0;; ++attempt) {
    const double u = to_open_unit(key.block(attempt, static_cast<std::uint32_t>(block))[word]);
    const double value = initializer.first + initializer.second * normal_quantile(u);
    if (value >= initializer.low && value <= initializer.high) return value;
  }
}

}  // namespace

// M. J. Wichura, "Algorithm AS 241: The percentage points of the normal distribution", Applied
// Statistics 37 (1988), PPND16.
double normal_quantile(double p) {
  static constexpr double kA[8] = {3.3871328727963666080e0, 1.3314166789178437745e2,
                                   1.9715909503065514427e3, 1.3731693765509461125e4,
                                   4.5921953931549871457e4, 6.7265770927008700853e4,
                                   3.3430575583588128105e4, 2.5090809287301226727e3};
  static constexpr double kB[8] = {1.0,
                                   4.2313330701600911252e1,
                                   6.8718700749205790830e2,
                                   5.3941960214247511077e3,
                                   2.1213794301586595867e4,
                                   3.9307895800092710610e4,
                                   2.8729085735721942674e4,
                                   5.2264952788528545610e3};
  static constexpr double kC[8] = {1.42343711074968357734e0,  4.63033784615654529590e0,
                                   5.76949722146069140550e0,  3.64784832476320460504e0,
                                   1.27045825245236838258e0,  2.41780725177450611770e-1,
                                   2.27238449892691845833e-2, 7.74545014278341407640e-4};
  static constexpr double kD[8] = {1.0,
                                   2.05319162663775882187e0,
                                   1.67638483018380384940e0,
                                   6.89767334985100004550e-1,
                                   1.48103976427480074590e-1,
                                   1.51986665636164571966e-2,
                                   5.47593808499534494600e-4,
                                   1.05075007164441684324e-9};
  static constexpr double kE[8] = {6.65790464350110377720e0,  5.46378491116411436990e0,
                                   1.78482653991729133580e0,  2.96560571828504891230e-1,
                                   2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                   2.71155556874348757815e-5, 2.01033439929228813265e-7};
  static constexpr double kF[8] = {1.0,
                                   5.99832206555887937690e-1,
                                   1.36929880922735805310e-1,
                                   1.48753612908506148525e-2,
                                   7.86869131145613259100e-4,
                                   1.84631831751005468180e-5,
                                   1.42151175831644588870e-7,
                                   2.04426310338993978564e-15};
  LOCKSTEP_CHECK(p > 0 && p < 1, "the normal quantile of {}", p);
  const double q = p - 0.5;
  if (std::fabs(q) <= 0.425) {
    const double r = 0.180625 - q * q;
    return q * polynomial(kA, r) / polynomial(kB, r);
  }
  const double tail = std::sqrt(-natural_log(q < 0 ? p : 1 - p));
  const double size = tail <= 5 ? polynomial(kC, tail - 1.6) / polynomial(kD, tail - 1.6)
                                : polynomial(kE, tail - 5) / polynomial(kF, tail - 5);
  return q < 0 ? -size : size;
}

void Initializer::fill(const RandomKey& key, std::span<float> values) const {
  for (std::size_t i = 0; i < values.size(); i += 4) {
    const PhiloxBlock words = key.block(0, static_cast<std::uint32_t>(i / 4));
    for (std::size_t j = i; j < values.size() && j < i + 4; ++j) {
      const double u = to_open_unit(words[j - i]);
      double value = first;
      if (kind == Kind::kNormal) value = first + second * normal_quantile(u);
      if (kind == Kind::kUniform) value = first + (second - first) * u;
      if (kind == Kind::kTruncatedNormal) value = truncated_normal(*this, key, i / 4, j - i);
      values[j] = static_cast<float>(value);
    }
  }
  for (std::int64_t i = zeros_begin; i < zeros_end; ++i) values[static_cast<std::size_t>(i)] = 0;
}

Initializer constant_values(double value) {
  return {.kind = Initializer::Kind::kConstant, .first = value};
}

Initializer normal_values(double mean, double deviation) {
  return {.kind = Initializer::Kind::kNormal, .first = mean, .second = deviation};
}

Initializer uniform_values(double low, double high) {
  return {.kind = Initializer::Kind::kUniform, .first = low, .second = high};
}

Initializer truncated_normal_values(double mean, double deviation, double low, double high) {
  // So that an element is drawn again seldom, and never for ever.
  LOCKSTEP_CHECK(low < mean && mean < high && deviation >= 0 && high - low >= deviation,
                 "a normal distribution of mean {} and deviation {} cut at {} and {}", mean,
                 deviation, low, high);
  Initializer initializer{
      .kind = Initializer::Kind::kTruncatedNormal, .first = mean, .second = deviation};
  initializer.low = low;
  initializer.high = high;
  return initializer;
}

Fans fans_of(const Shape& file_shape) {
  if (file_shape.rank() < 2)
    throw Error(
        "weights of shape {} have no fan-in and fan-out; give them constant, normal or "
        "uniform values",
        file_shape.to_string());
  std::int64_t places = 1;
  for (int axis = 2; axis < file_shape.rank(); ++axis) places *= file_shape[axis];
  return {file_shape[1] * places, file_shape[0] * places};
}

Initializer kaiming_normal(const Shape& file_shape, double gain) {
  return normal_values(0, gain / root_of_fan(fans_of(file_shape).in));
}

Initializer kaiming_uniform(const Shape& file_shape, double gain) {
  const double bound = gain * std::sqrt(3.0) / root_of_fan(fans_of(file_shape).in);
  return uniform_values(-bound, bound);
}

Initializer kaiming_normal_fan_out(const Shape& file_shape, std::int64_t groups) {
  return normal_values(0, kReluGain / root_of_fan(fans_of(file_shape).out / groups));
}

Initializer xavier_normal(const Shape& file_shape, double gain) {
  const Fans fans = fans_of(file_shape);
  return normal_values(0, gain * std::sqrt(2.0) / root_of_fan(fans.in + fans.out));
}

Initializer xavier_uniform(const Shape& file_shape, double gain) {
  const Fans fans = fans_of(file_shape);
  const double bound = gain * std::sqrt(6.0) / root_of_fan(fans.in + fans.out);
  return uniform_values(-bound, bound);
}

Initializer torch_default_weight(std::int64_t fan_in) {
  const double bound = 1 / root_of_fan(fan_in);
  return uniform_values(-bound, bound);
}

Initializer torch_default_bias(std::int64_t fan_in) {
  return torch_default_weight(fan_in);
}

}  // namespace lockstep
