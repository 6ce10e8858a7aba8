// The step's reduction and update on the CPU back end.
#include <cmath>
#include <vector>

#include "kernels/cpu/backend_impl.h"
#include "kernels/cpu/checks.h"
#include "kernels/cpu/vector_kernels.h"

namespace lockstep {

namespace {

// base^exponent by squaring: C libraries round pow() in different ways.
double power(double base, std::int64_t exponent) {
  double result = 1;
  for (; exponent > 0; exponent /= 2, base *= base)
    if (exponent % 2 == 1) result *= base;
  return result;
}

}  // namespace

void CpuBackend::tree_sum(Stream&, std::span<const TreeNode> nodes, float divisor, Tensor& y) {
  LOCKSTEP_CHECK(!nodes.empty(), "a tree sum of no nodes");
  cpu::check_type(y, DType::kFloat32, "y");
  const std::int64_t n = y.elements();

  // What the counter does is the same for every element, so it is worked out once.
  std::vector<const float*> values;
  std::vector<int> joins;
  std::vector<std::int64_t> stack;  // shards of the sums on it, which are aligned by their sizes
  std::int64_t leaves = 0;          // before the top of the stack's end
  for (const TreeNode& node : nodes) {
    LOCKSTEP_CHECK(node.shards > 0 && leaves % node.shards == 0,
                   "a node of {} shards after {} leaves is no subtree", node.shards, leaves);
    cpu::check_count(node.sum, n, "a node");
    values.push_back(node.sum.data<float>());
    leaves += node.shards;
    stack.push_back(node.shards);
    int joined = 0;
    while (stack.size() > 1 && stack.back() == stack[stack.size() - 2] &&
           leaves % (2 * stack.back()) == 0) {
      stack.pop_back();
      stack.back() *= 2;
      ++joined;
    }
    joins.push_back(joined);
    LOCKSTEP_CHECK(stack.size() <= kMaxTreeDepth, "a tree of more than 2^{} shards", kMaxTreeDepth);
  }
  LOCKSTEP_CHECK(stack.size() == 1, "{} leaves are no power of two", leaves);
  vector_.update.tree_sum(values.data(), joins.data(), static_cast<int>(nodes.size()), divisor,
                          y.data<float>(), n);
}

void CpuBackend::squared_norms(Stream&, const Tensor& x, Tensor& out) {
  cpu::check_type(x, DType::kFloat32, "x");
  cpu::check_count(out, (x.elements() + kBlockElements - 1) / kBlockElements, "out",
                   DType::kFloat64);
  vector_.update.squared_norms(x.data<float>(), kBlockElements, x.elements(), out.data<double>());
}

void CpuBackend::sgd(Stream&, const SgdOptions& options, const Tensor& gradient, Tensor& value,
                     Tensor& momentum) {
  const std::int64_t n = value.elements();
  cpu::check_count(gradient, n, "gradient");
  LOCKSTEP_CHECK(momentum.defined() == (options.momentum != 0),
                 "a momentum buffer belongs to a momentum that is not zero, here {}",
                 options.momentum);
  if (momentum.defined()) cpu::check_count(momentum, n, "momentum");
  const SgdScalars scalars = {options.lr,           options.momentum, 1.0f - options.dampening,
                              options.weight_decay, options.nesterov, options.first_step};
  vector_.update.sgd(scalars, gradient.data<float>(), value.data<float>(),
                     cpu::optional_data(momentum), n);
}

// Kingma and Ba 2015, algorithm 1, with epsilon outside the corrected root as in PyTorch; decoupled
// decay: Loshchilov and Hutter 2019.
void CpuBackend::adam(Stream&, const AdamOptions& options, const Tensor& gradient, Tensor& value,
                      Tensor& m, Tensor& v) {
  const std::int64_t n = value.elements();
  cpu::check_count(gradient, n, "gradient");
  cpu::check_count(m, n, "m");
  cpu::check_count(v, n, "v");
  LOCKSTEP_CHECK(options.step >= 1, "Adam's step {}; the first is 1", options.step);
  const double beta1 = options.beta1, beta2 = options.beta2, lr = options.lr;
  const double decay = options.weight_decay;
  AdamScalars scalars;
  scalars.beta2 = options.beta2;
  scalars.one_minus_beta1 = static_cast<float>(1 - beta1);
  scalars.one_minus_beta2 = static_cast<float>(1 - beta2);
  scalars.inv_sqrt_correction2 = static_cast<float>(1 / std::sqrt(1 - power(beta2, options.step)));
  scalars.epsilon = options.epsilon;
  scalars.step_size = static_cast<float>(lr / (1 - power(beta1, options.step)));
  scalars.decay = options.decoupled ? 0.0f : options.weight_decay;
  scalars.shrink = options.decoupled ? static_cast<float>(1 - lr * decay) : 1.0f;
  vector_.update.adam(scalars, gradient.data<float>(), value.data<float>(), m.data<float>(),
                      v.data<float>(), n);
}

void CpuBackend::rmsprop(Stream&, const RmspropOptions& options, const Tensor& gradient,
                         Tensor& value, Tensor& square, Tensor& momentum, Tensor& mean) {
  const std::int64_t n = value.elements();
  cpu::check_count(gradient, n, "gradient");
  cpu::check_count(square, n, "square");
  LOCKSTEP_CHECK(momentum.defined() == (options.momentum != 0),
                 "a momentum buffer belongs to a momentum that is not zero, here {}",
                 options.momentum);
  LOCKSTEP_CHECK(mean.defined() == options.centered, "a mean of gradients belongs to centered");
  if (momentum.defined()) cpu::check_count(momentum, n, "momentum");
  if (mean.defined()) cpu::check_count(mean, n, "mean");
  const auto fresh = static_cast<float>(1 - static_cast<double>(options.alpha));
  const RmspropScalars scalars = {options.lr,      options.alpha,    fresh,
                                  options.epsilon, options.momentum, options.weight_decay};
  vector_.update.rmsprop(scalars, gradient.data<float>(), value.data<float>(), square.data<float>(),
                         cpu::optional_data(momentum), cpu::optional_data(mean), n);
}

void CpuBackend::adagrad(Stream&, const AdagradOptions& options, const Tensor& gradient,
                         Tensor& value, Tensor& sum) {
  const std::int64_t n = value.elements();
  cpu::check_count(gradient, n, "gradient");
  cpu::check_count(sum, n, "sum");
  LOCKSTEP_CHECK(options.step >= 1, "AdaGrad's step {}; the first is 1", options.step);
  const double slowed = 1 + static_cast<double>(options.step - 1) * options.lr_decay;
  const AdagradScalars scalars = {static_cast<float>(static_cast<double>(options.lr) / slowed),
                                  options.epsilon, options.weight_decay, options.initial,
                                  options.step == 1};
  vector_.update.adagrad(scalars, gradient.data<float>(), value.data<float>(), sum.data<float>(),
                         n);
}

void CpuBackend::clamp(Stream&, float limit, Tensor& x) {
  cpu::check_type(x, DType::kFloat32, "x");
  LOCKSTEP_CHECK(limit >= 0, "a limit of {}", limit);
  vector_.update.clamp(limit, x.data<float>(), x.elements());
}

void CpuBackend::add_penalty(Stream&, const PenaltyOptions& options, const Tensor& value,
                             Tensor& gradient) {
  cpu::check_type(value, DType::kFloat32, "value");
  cpu::check_count(gradient, value.elements(), "gradient");
  vector_.update.add_penalty(options.l1, options.l2, value.data<float>(), gradient.data<float>(),
                             value.elements());
}

void CpuBackend::running_average(Stream&, float momentum, const Tensor& mean, Tensor& value) {
  cpu::check_count(mean, value.elements(), "mean");
  vector_.update.running_average(momentum, mean.data<float>(), value.data<float>(),
                                 value.elements());
}

}  // namespace lockstep
