// Batch norm in double precision, for the cases of its forms. The values' names are x, gamma, beta,
// saved_mean and saved_inv_std.
#pragma once

#include "kernels/cases/op_case.h"

namespace lockstep::cases {

inline std::size_t channels_of(const Shape& shape) {
  return static_cast<std::size_t>(shape.back());
}

// The variance's terms are differences from a mean that has a rounding error of its own, which
// counts with the size of x, not with the size of the difference.
struct Statistics {
  Reals mean, variance;  // biased
};
Statistics statistics(const Doubles& x, std::size_t channels);
Real inverse_deviation(const Real& variance);  // 1 / sqrt(variance + epsilon)

Reals normalised(const Doubles& x, const Reals& mean, const Reals& variance, const Values& in);
Reals batch_norm(const Values& in, std::size_t channels);
// Of x, gamma and beta, to "dx", "dgamma" and "dbeta", where dy arrives.
void batch_norm_gradients(const Values& in, const Doubles& dy, std::size_t channels, Results& out);

Fill saved_mean(std::size_t channels);
Fill saved_inv_std(std::size_t channels);

}  // namespace lockstep::cases
