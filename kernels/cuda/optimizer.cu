// Optimizers on flat float32 slices: each array is read and written once.
#include <cmath>

#include "kernels/cuda/checks.h"
#include "kernels/cuda/guarded.h"

namespace lockstep {

namespace gpu {
namespace {

// g += decay · value; value -= lr · g
struct Sgd {
  float lr, decay;
  __device__ void operator()(float gradient, float& value) const {
    value = fmaf(-lr, fmaf(decay, value, gradient), value);
  }
};

// momentum = keep · m + (1 - dampening) · g (g itself at first); value -= lr · m, or with Nesterov
// lr · (g + keep · m)
struct SgdMomentum {
  float lr, keep, fresh, decay;
  bool nesterov, first_step;
  __device__ void operator()(float gradient, float& value, float& momentum) const {
    const float g = fmaf(decay, value, gradient);
    momentum = first_step ? g : fmaf(keep, momentum, fresh * g);
    value = fmaf(-lr, nesterov ? fmaf(keep, momentum, g) : momentum, value);
  }
};

struct Adam {
  float beta2, one_minus_beta1, one_minus_beta2, inv_sqrt_correction2, epsilon, step_size;
  float decay, shrink;
  __device__ void operator()(float gradient, float& value, float& m, float& v) const {
    const float g = fmaf(decay, value, gradient);
    m = fmaf(one_minus_beta1, g - m, m);
    v = fmaf(one_minus_beta2 * g, g, beta2 * v);
    const float root = fmaf(sqrtf(v), inv_sqrt_correction2, epsilon);
    value = fmaf(-step_size, m / root, value * shrink);
  }
};

// square = alpha · square + (1 - alpha) g²; where centered, mean = mean + (1 - alpha)(g - mean) and
// the variance square - mean² takes square's place (0 where rounding makes it less); momentum
// collects g / (√ + epsilon).     (Tieleman and Hinton 2012; Graves 2013; torch.optim.RMSprop)
template <bool kMomentum, bool kCentered>
struct Rmsprop {
  float lr, alpha, fresh, epsilon, keep, decay;

  __device__ void update(float gradient, float& value, float& square, float* momentum,
                         float* mean) const {
    const float g = fmaf(decay, value, gradient);
    float v = fmaf(fresh * g, g, alpha * square);
    square = v;
    if constexpr (kCentered) {
      *mean = fmaf(fresh, g - *mean, *mean);
      v = fmaf(-*mean, *mean, v);
      if (v < 0.0f) v = 0.0f;
    }
    float step = g / (sqrtf(v) + epsilon);
    if constexpr (kMomentum) {
      step = fmaf(keep, *momentum, step);
      *momentum = step;
    }
    value = fmaf(-lr, step, value);
  }
  // What follows the square is the momentum, the mean, or both in this order.
  __device__ void operator()(float gradient, float& value, float& square) const {
    update(gradient, value, square, nullptr, nullptr);
  }
  __device__ void operator()(float gradient, float& value, float& square, float& other) const {
    update(gradient, value, square, kMomentum ? &other : nullptr, kMomentum ? nullptr : &other);
  }
  __device__ void operator()(float gradient, float& value, float& square, float& momentum,
                             float& mean) const {
    update(gradient, value, square, &momentum, &mean);
  }
};

// sum += g²; value -= lr · g / (√sum + epsilon)     (Duchi, Hazan, Singer 2011;
// torch.optim.Adagrad)
struct Adagrad {
  float lr, epsilon, decay, initial;
  bool first_step;
  __device__ void operator()(float gradient, float& value, float& sum) const {
    const float g = fmaf(decay, value, gradient);
    sum = fmaf(g, g, first_step ? initial : sum);
    value = fmaf(-lr, g / (sqrtf(sum) + epsilon), value);
  }
};

// base^exponent by squaring: C libraries round pow() in different ways.
double power(double base, std::int64_t exponent) {
  double result = 1;
  for (; exponent > 0; exponent /= 2, base *= base)
    if (exponent % 2 == 1) result *= base;
  return result;
}

template <typename Update, typename... States>
void update_slices(Stream& stream, const char* name, const Update& update, const Tensor& gradient,
                   const Tensor& value, const States&... states) {
  const std::int64_t n = value.elements();
  check_type(value, DType::kFloat32, "value");
  check_count(gradient, n, "gradient");
  (check_count(states, n, "the optimizer's state"), ...);
  map_guarded(stream, name, n, update, in(gradient.data<float>()), in_out(value.data<float>()),
              in_out(states.template data<float>())...);
}

void check_momentum(const Tensor& buffer, float momentum) {
  LOCKSTEP_CHECK(buffer.defined() == (momentum != 0),
                 "a momentum buffer belongs to a momentum that is not zero, here {}", momentum);
}

}  // namespace
}  // namespace gpu

void CudaBackend::sgd(Stream& stream, const SgdOptions& options, const Tensor& gradient,
                      Tensor& value, Tensor& momentum) {
  gpu::check_momentum(momentum, options.momentum);
  if (!momentum.defined()) {
    gpu::update_slices(stream, "sgd", gpu::Sgd{options.lr, options.weight_decay}, gradient, value);
    return;
  }
  const gpu::SgdMomentum update{options.lr,           options.momentum, 1.0f - options.dampening,
                                options.weight_decay, options.nesterov, options.first_step};
  gpu::update_slices(stream, "sgd", update, gradient, value, momentum);
}

// Kingma and Ba 2015, algorithm 1, with epsilon outside the corrected root as in PyTorch; decoupled
// decay: Loshchilov and Hutter 2019.
void CudaBackend::adam(Stream& stream, const AdamOptions& options, const Tensor& gradient,
                       Tensor& value, Tensor& m, Tensor& v) {
  LOCKSTEP_CHECK(options.step >= 1, "Adam's step {}; the first is 1", options.step);
  const double beta1 = options.beta1, beta2 = options.beta2, lr = options.lr;
  const double decay = options.weight_decay;
  const gpu::Adam update{
      .beta2 = options.beta2,
      .one_minus_beta1 = static_cast<float>(1 - beta1),
      .one_minus_beta2 = static_cast<float>(1 - beta2),
      .inv_sqrt_correction2 =
          static_cast<float>(1 / std::sqrt(1 - gpu::power(beta2, options.step))),
      .epsilon = options.epsilon,
      .step_size = static_cast<float>(lr / (1 - gpu::power(beta1, options.step))),
      .decay = options.decoupled ? 0.0f : options.weight_decay,
      .shrink = options.decoupled ? static_cast<float>(1 - lr * decay) : 1.0f};
  gpu::update_slices(stream, "adam", update, gradient, value, m, v);
}

void CudaBackend::rmsprop(Stream& stream, const RmspropOptions& options, const Tensor& gradient,
                          Tensor& value, Tensor& square, Tensor& momentum, Tensor& mean) {
  gpu::check_momentum(momentum, options.momentum);
  LOCKSTEP_CHECK(mean.defined() == options.centered, "a mean of gradients belongs to centered");
  const auto fresh = static_cast<float>(1 - static_cast<double>(options.alpha));
  const auto run = [&]<bool kMomentum, bool kCentered>(const auto&... states) {
    const gpu::Rmsprop<kMomentum, kCentered> update{
        options.lr, options.alpha, fresh, options.epsilon, options.momentum, options.weight_decay};
    gpu::update_slices(stream, "rmsprop", update, gradient, value, square, states...);
  };
  if (momentum.defined() && mean.defined())
    run.template operator()<true, true>(momentum, mean);
  else if (momentum.defined())
    run.template operator()<true, false>(momentum);
  else if (mean.defined())
    run.template operator()<false, true>(mean);
  else
    run.template operator()<false, false>();
}

void CudaBackend::adagrad(Stream& stream, const AdagradOptions& options, const Tensor& gradient,
                          Tensor& value, Tensor& sum) {
  LOCKSTEP_CHECK(options.step >= 1, "AdaGrad's step {}; the first is 1", options.step);
  const double slowed = 1 + static_cast<double>(options.step - 1) * options.lr_decay;
  const gpu::Adagrad update{static_cast<float>(static_cast<double>(options.lr) / slowed),
                            options.epsilon, options.weight_decay, options.initial,
                            options.step == 1};
  gpu::update_slices(stream, "adagrad", update, gradient, value, sum);
}

}  // namespace lockstep
