// Initial values of parameters: pure functions of (key, element), in the file's (PyTorch's) order,
// so that no layout, rank or processor changes them. The normal distribution uses arithmetic and
// square roots alone, since C libraries round log and cos in different ways.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/core/philox.h"
#include "kernels/core/shape.h"

namespace lockstep {

struct Initializer {
  enum class Kind { kConstant, kNormal, kUniform, kTruncatedNormal } kind = Kind::kConstant;
  // kConstant: the value, unused. kNormal: mean, standard deviation. kUniform: bounds, open.
  double first = 0, second = 0;
  double low = 0, high = 0;  // kTruncatedNormal: a number beyond them is drawn again
  // Elements [zeros_begin, zeros_end) are 0: the padding row of an embedding table.
  std::int64_t zeros_begin = 0, zeros_end = 0;

  void fill(const RandomKey& key, std::span<float> values) const;
};

Initializer constant_values(double value);
Initializer normal_values(double mean, double deviation);
Initializer uniform_values(double low, double high);
Initializer truncated_normal_values(double mean, double deviation, double low, double high);

// Numbers of inputs and outputs of one unit, from the file's shape (out, in, kernel...); PyTorch's
// _calculate_fan_in_and_fan_out. Throws Error for shapes of rank below 2.
struct Fans {
  std::int64_t in = 0, out = 0;
};
Fans fans_of(const Shape& file_shape);

// He et al. 2015: variance gain² / fan_in; gain √2 for ReLU (torch.nn.init.kaiming_*_).
inline constexpr double kReluGain = 1.4142135623730951;
Initializer kaiming_normal(const Shape& file_shape, double gain = kReluGain);
Initializer kaiming_uniform(const Shape& file_shape, double gain = kReluGain);
// Variance 2 / fan_out, counting the outputs of one group alone: what vision networks start with.
Initializer kaiming_normal_fan_out(const Shape& file_shape, std::int64_t groups = 1);
// Glorot and Bengio 2010: variance 2 gain² / (fan_in + fan_out) (torch.nn.init.xavier_*_).
Initializer xavier_normal(const Shape& file_shape, double gain = 1);
Initializer xavier_uniform(const Shape& file_shape, double gain = 1);

// What torch.nn.Linear and Conv2d start with: U(-1/√fan_in, 1/√fan_in) for weight and bias alike
// (kaiming_uniform with a = √5, whose gain is √(1/3)).
Initializer torch_default_weight(std::int64_t fan_in);
Initializer torch_default_bias(std::int64_t fan_in);

// The quantile of the standard normal distribution at 0 < p < 1, to about 16 digits.
double normal_quantile(double p);

}  // namespace lockstep
