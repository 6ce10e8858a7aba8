#include "kernels/cases/batch_norm_reference.h"

namespace lockstep::cases {

namespace {
constexpr double kEpsilon = 1e-5f;
}  // namespace

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

}  // namespace lockstep::cases
