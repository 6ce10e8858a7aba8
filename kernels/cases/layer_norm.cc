// Layer norm over the last axis and its three gradients, against PyTorch's definition.
#include "kernels/cases/op_list.h"

namespace lockstep::cases {

namespace {

struct NormShape {
  std::int64_t rows, channels;
  double offset = 0;  // of the values' mean
  bool data_gradient = true;

  Shape shape() const { return {rows, channels}; }
  std::string label() const {
    return fmt::format("{}x{}{}{}", rows, channels,
                       offset == 0 ? "" : fmt::format(" mean {}", offset),
                       data_gradient ? "" : " parameters alone");
  }
};

constexpr double kEpsilon = 1e-5f;

struct Row {
  double mean = 0, inv_std = 0;
  double size = 0;  // of the values: x - mean is wrong by their rounding
};

std::vector<Row> statistics(const NormShape& n, const Doubles& x) {
  std::vector<Row> rows(static_cast<std::size_t>(n.rows));
  const auto channels = static_cast<std::size_t>(n.channels);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    double squares = 0;
    for (std::size_t c = 0; c < channels; ++c) {
      rows[r].mean += x[r * channels + c] / static_cast<double>(channels);
      rows[r].size = std::max(rows[r].size, std::fabs(x[r * channels + c]));
    }
    for (std::size_t c = 0; c < channels; ++c)
      squares += std::pow(x[r * channels + c] - rows[r].mean, 2);
    rows[r].inv_std = 1 / std::sqrt(squares / static_cast<double>(channels) + kEpsilon);
  }
  return rows;
}

// x̂ = (x - mean) inv_std; mean's own rounding is of the size of the largest value.
Real normalised(double x, const Row& row) {
  return {(x - row.mean) * row.inv_std, (std::fabs(x) + 2 * row.size) * row.inv_std};
}

Reals forward(const NormShape& n, const Values& in) {
  const std::vector<Row> rows = statistics(n, in["x"]);
  const auto channels = static_cast<std::size_t>(n.channels);
  Reals y(in["x"].size());
  for (std::size_t i = 0; i < y.size(); ++i)
    y[i] = normalised(in["x"][i], rows[i / channels]) * in["gamma"][i % channels] +
           Real(in["beta"][i % channels]);
  return y;
}

Fill around(double offset) {
  return [offset](Random& random, const Values&, Doubles& values) {
    for (double& value : values) value = offset + random.normal();
  };
}

std::vector<Argument> inputs(const NormShape& n) {
  return {input("x", n.shape(), around(n.offset)), input("gamma", {n.channels}, around(1)),
          input("beta", {n.channels})};
}

OpCase forward_case(const NormShape& n) {
  OpCase c;
  c.operation = "layer_norm_forward";
  c.label = n.label();
  c.tolerance = 16;
  c.bytes = 8.0 * static_cast<double>(n.rows * n.channels);
  c.use = n.rows * n.channels > 50'000 ? Use::kBoth : Use::kTest;
  c.arguments = inputs(n);
  for (const char* name : {"mean", "inv_std"}) c.arguments.push_back(output(name, {n.rows}));
  c.arguments.push_back(output("y", n.shape()));
  c.run = [](Backend& b, Stream& s, Tensors& t) {
    b.layer_norm_forward(s, {}, t["x"], t["gamma"], t["beta"], t["y"], t["mean"], t["inv_std"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    const std::vector<Row> rows = statistics(n, in["x"]);
    for (std::size_t r = 0; r < rows.size(); ++r) {
      out["mean"][r] = {rows[r].mean, rows[r].size};
      out["inv_std"][r] = {rows[r].inv_std, rows[r].inv_std * (1 + rows[r].size * rows[r].inv_std)};
    }
    out["y"] = forward(n, in);
  };
  return c;
}

OpCase backward_case(const NormShape& n) {
  OpCase c;
  c.operation = "layer_norm_backward";
  c.label = n.label();
  c.tolerance = 32;
  c.bytes = (n.data_gradient ? 12.0 : 8.0) * static_cast<double>(n.rows * n.channels);
  c.use = n.rows * n.channels > 50'000 ? Use::kBoth : Use::kTest;
  c.arguments = inputs(n);
  c.arguments[2].role = Role::kHidden;  // beta
  const auto saved = [=](double Row::*field) -> Fill {
    return [=](Random&, const Values& earlier, Doubles& values) {
      const std::vector<Row> rows = statistics(n, earlier["x"]);
      for (std::size_t r = 0; r < rows.size(); ++r) values[r] = rows[r].*field;
    };
  };
  c.arguments.push_back(input("mean", {n.rows}, saved(&Row::mean)));
  c.arguments.push_back(input("inv_std", {n.rows}, saved(&Row::inv_std)));
  c.arguments.push_back(input("dy", n.shape()));
  for (const char* name : {"dgamma", "dbeta"}) c.arguments.push_back(output(name, {n.channels}));
  if (n.data_gradient) c.arguments.push_back(output("dx", n.shape()));
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    Tensor none;
    b.layer_norm_backward(s, t["x"], t["dy"], t["gamma"], t["mean"], t["inv_std"], t["dgamma"],
                          t["dbeta"], n.data_gradient ? t["dx"] : none);
  };
  c.reference = [=](const Values& in, Results& out) {
    const std::vector<Row> rows = statistics(n, in["x"]);
    const auto channels = static_cast<std::size_t>(n.channels);
    for (std::size_t r = 0; r < rows.size(); ++r) {
      Real sum, product;
      const auto x_hat = [&](std::size_t c) {
        return normalised(in["x"][r * channels + c], rows[r]);
      };
      const auto g = [&](std::size_t c) {
        return Real(in["dy"][r * channels + c]) * in["gamma"][c];
      };
      for (std::size_t c = 0; c < channels; ++c) {
        sum += g(c);
        product += g(c) * x_hat(c);
        out["dgamma"][c] += Real(in["dy"][r * channels + c]) * x_hat(c);
        out["dbeta"][c] += in["dy"][r * channels + c];
      }
      const auto count = static_cast<double>(channels);
      for (std::size_t c = 0; n.data_gradient && c < channels; ++c)
        out["dx"][r * channels + c] =
            (g(c) - sum / count - x_hat(c) * (product / count)) * rows[r].inv_std;
    }
  };
  const auto objective = [=](const Values& in) { return dot(in["dy"], forward(n, in)); };
  c.derivatives = {{"dgamma", "gamma", objective}, {"dbeta", "beta", objective}};
  if (n.data_gradient) c.derivatives.push_back({"dx", "x", objective});
  return c;
}

}  // namespace

OpCases layer_norm_cases() {
  OpCases cases;
  for (const NormShape& n : {NormShape{100, 64},
                             {1, 2},
                             {0, 5},
                             {13, 7},
                             {3, 100, 50},
                             {300, 33},
                             {5, 1000},
                             {9, 16, 0, false},
                             {512, 384}}) {
    cases.push_back(forward_case(n));
    cases.push_back(backward_case(n));
  }
  return cases;
}

}  // namespace lockstep::cases
