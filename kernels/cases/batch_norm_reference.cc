#include "kernels/cases/batch_norm_reference.h"

namespace lockstep::cases {

namespace {

constexpr double kEpsilon = 1e-5f;

// The variance's terms are differences from a mean that has a rounding error of its own, which
// counts with the size of x, not with the size of the difference.
struct Statistics {
  Reals mean, variance;  // biased
};

Statistics statistics(const Doubles& x, std::size_t channels) {
  const double count = static_cast<double>(x.size() / channels);
  Statistics s{Reals(channels), Reals(channels)};
  for (std::size_t i = 0; i < x.size(); ++i) s.mean[i % channels] += Real(x[i]) / count;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double difference = x[i] - s.mean[i % channels].value;
    s.variance[i % channels] +=
        Real(difference * difference,
             std::fabs(difference) * (std::fabs(x[i]) + s.mean[i % channels].magnitude)) /
        count;
  }
  return s;
}

// 1 / sqrt(variance + epsilon); half of the variance's relative error arrives.
Real inverse_deviation(const Real& variance) {
  const double inverse = 1 / std::sqrt(variance.value + kEpsilon);
  return {inverse, inverse * (1 + variance.magnitude / (variance.value + kEpsilon))};
}

Reals normalised(const Doubles& x, const Reals& mean, const Reals& variance, const Values& in) {
  Reals y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t c = i % mean.size();
    y[i] = (Real(x[i]) - mean[c]) * inverse_deviation(variance[c]) * in["gamma"][c] + in["beta"][c];
  }
  return y;
}

Fill saved_mean(std::size_t channels) {
  return [=](Random&, const Values& earlier, Doubles& values) {
    const Statistics s = statistics(earlier["x"], channels);
    for (std::size_t i = 0; i < channels; ++i) values[i] = s.mean[i].value;
  };
}

Fill saved_inv_std(std::size_t channels) {
  return [=](Random&, const Values& earlier, Doubles& values) {
    const Statistics s = statistics(earlier["x"], channels);
    for (std::size_t i = 0; i < channels; ++i) values[i] = inverse_deviation(s.variance[i]).value;
  };
}

}  // namespace

Reals batch_norm(const Values& in, std::size_t channels) {
  const Statistics s = statistics(in["x"], channels);
  return normalised(in["x"], s.mean, s.variance, in);
}

// dx = gamma · inv_std / count · (count · dy - Σ dy - x̂ · Σ dy x̂), x̂ = (x - mean) · inv_std
// (Ioffe, Szegedy: "Batch normalization", 2015, section 3).
void batch_norm_gradients(const Values& in, const Doubles& dy, std::size_t channels, Results& out) {
  const Doubles &x = in["x"], &mean = in["saved_mean"], &inv = in["saved_inv_std"];
  const double count = static_cast<double>(x.size() / channels);
  const auto x_hat = [&](std::size_t i) {
    return (Real(x[i]) - Real(mean[i % channels])) * inv[i % channels];
  };
  for (std::size_t i = 0; i < x.size(); ++i) {
    out["dbeta"][i % channels] += dy[i];
    out["dgamma"][i % channels] += x_hat(i) * dy[i];
  }
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t c = i % channels;
    out["dx"][i] = (Real(dy[i]) - out["dbeta"][c] / count - x_hat(i) * out["dgamma"][c] / count) *
                   Real(in["gamma"][c] * inv[c]);
  }
}

Reals batch_norm_inference(const Values& in) {
  return normalised(in["x"], Reals(in["mean"].begin(), in["mean"].end()),
                    Reals(in["var"].begin(), in["var"].end()), in);
}

void forward_statistics(const Values& in, const Shape& x, Results& out) {
  const std::size_t channels = channels_of(x);
  const Statistics s = statistics(in["x"], channels);
  const auto rows = static_cast<double>(x[0]);
  const double count = static_cast<double>(in["x"].size() / channels);
  for (std::size_t i = 0; i < channels; ++i) {
    out["saved_mean"][i] = s.mean[i];
    out["saved_inv_std"][i] = inverse_deviation(s.variance[i]);
    out["stat_mean"][i] = s.mean[i] * rows;
    out["stat_var"][i] = s.variance[i] * (rows * count / (count - 1));
  }
}

OpCase batch_norm_case(const Shape& x, const std::string& operation, double tensors) {
  OpCase c;
  c.operation = operation;
  c.label = x.to_string();
  c.tolerance = 16;
  c.bytes = 4.0 * tensors * static_cast<double>(x.elements());
  c.use = x.elements() > 50'000 ? Use::kBoth : Use::kTest;
  return c;
}

std::vector<Argument> forward_arguments(const Shape& x, const Shape& y) {
  const Shape per_channel = {x.back()};
  return {input("x", x),
          input("gamma", per_channel),
          input("beta", per_channel),
          output("y", y),
          output("saved_mean", per_channel),
          output("saved_inv_std", per_channel),
          output("stat_mean", per_channel),
          output("stat_var", per_channel)};
}

std::vector<Argument> inference_arguments(const Shape& x, const Shape& y) {
  const Shape per_channel = {x.back()};
  return {input("x", x),
          input("gamma", per_channel),
          input("beta", per_channel),
          input("mean", per_channel),
          input("var", per_channel, uniform(0.1, 4)),
          output("y", y)};
}

std::vector<Argument> backward_arguments(const Shape& x) {
  const std::size_t channels = channels_of(x);
  const Shape per_channel = {x.back()};
  return {input("x", x),
          input("gamma", per_channel),
          hidden("beta", per_channel),
          input("saved_mean", per_channel, saved_mean(channels)),
          input("saved_inv_std", per_channel, saved_inv_std(channels)),
          output("dgamma", per_channel),
          output("dbeta", per_channel),
          output("dx", x)};
}

std::vector<Derivative> batch_norm_derivatives(
    const std::function<double(const Values&)>& objective) {
  return {{"dx", "x", objective}, {"dgamma", "gamma", objective}, {"dbeta", "beta", objective}};
}

}  // namespace lockstep::cases
