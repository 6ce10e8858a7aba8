// What the cases of batch norm's forms share: their arguments, and batch norm in double precision.
#pragma once

#include "kernels/cases/op_case.h"

namespace lockstep::cases {

inline std::size_t channels_of(const Shape& shape) {
  return static_cast<std::size_t>(shape.back());
}

// A case of `tensors` reads and writes of x's size.
OpCase batch_norm_case(const Shape& x, const std::string& operation, double tensors);
std::vector<Argument> forward_arguments(const Shape& x, const Shape& y);
std::vector<Argument> inference_arguments(const Shape& x, const Shape& y);
std::vector<Argument> backward_arguments(const Shape& x);  // but for dy

// By the moments of x, which go to "saved_mean", "saved_inv_std", "stat_mean" and "stat_var".
Reals batch_norm(const Values& in, std::size_t channels);
void forward_statistics(const Values& in, const Shape& x, Results& out);
// By "mean" and "var".
Reals batch_norm_inference(const Values& in);
// Of x, gamma and beta, to "dx", "dgamma" and "dbeta", where dy arrives.
void batch_norm_gradients(const Values& in, const Doubles& dy, std::size_t channels, Results& out);
std::vector<Derivative> batch_norm_derivatives(
    const std::function<double(const Values&)>& objective);

}  // namespace lockstep::cases
