// Hinge losses: PyTorch's multi_margin_loss (p = 1, margin 1), and of one output max(0, 1 ∓ x).
#include "kernels/cases/op_list.h"

namespace lockstep::cases {

namespace {

struct Variant {
  std::int64_t rows, outputs;
  bool sample_weights = false, gradient = true;
  double ignored = 0, spread = 1;

  std::string label() const {
    return fmt::format("{}x{}{}{} spread {}{}", rows, outputs, sample_weights ? " weighted" : "",
                       ignored > 0 ? " some ignored" : "", spread, gradient ? "" : " evaluation");
  }
};

struct Loss {
  Reals gradient;
  Real sum;
  double weight = 0;
  Doubles nearest;  // of each row the least |margin|: where it is small, the loss bends
};

Loss loss_of(const Variant& v, const Values& in) {
  Loss loss{Reals(in["x"].size()), 0.0, 0.0, Doubles(in["target"].size(), 1e9)};
  const auto outputs = static_cast<std::size_t>(v.outputs);
  for (std::size_t row = 0; row < in["target"].size(); ++row) {
    if (in["target"][row] < 0) continue;
    const double weight = v.sample_weights ? in["sample_weight"][row] : 1;
    const auto label = static_cast<std::size_t>(in["target"][row]);
    const std::size_t first = row * outputs;
    loss.weight += weight;
    const auto add = [&](const Real& margin, double share, std::size_t up, double sign_up,
                         std::size_t down) {
      loss.nearest[row] = std::min(loss.nearest[row], std::fabs(margin.value));
      if (!(margin.value > 0)) return;
      loss.sum += margin * share;
      loss.gradient[up] += Real(sign_up * share);
      if (down != up) loss.gradient[down] += Real(share);
    };
    if (outputs == 1) {
      const double sign = label == 1 ? 1 : -1;
      add(Real(1.0) - Real(sign * in["x"][first]), weight, first, -sign, first);
      continue;
    }
    for (std::size_t c = 0; c < outputs; ++c)
      if (c != label)
        add(Real(1.0) - Real(in["x"][first + label]) + Real(in["x"][first + c]),
            weight / static_cast<double>(outputs), first + label, -1, first + c);
  }
  return loss;
}

// Normal values in steps of 2^-10: margins are then exact in float32, and no rounding decides on
// which side of the bend a row lies.
Fill in_steps(double spread) {
  return [fill = normal(spread)](Random& random, const Values& earlier, Doubles& values) {
    fill(random, earlier, values);
    for (double& value : values) value = std::round(value * 1024) / 1024;
  };
}

OpCase hinge_case(const Variant& v) {
  OpCase c;
  c.operation = "hinge";
  c.label = v.label();
  c.tolerance = 16;
  c.bytes = (v.gradient ? 8.0 : 4.0) * static_cast<double>(v.rows * v.outputs);
  c.use = v.rows * v.outputs > 50'000 ? Use::kBoth : Use::kTest;
  const Shape shape = {v.rows, v.outputs};
  c.arguments = {
      input("x", shape, in_steps(v.spread)),
      input("target", {v.rows}, labels(v.outputs == 1 ? 2 : v.outputs, v.ignored), DType::kInt64),
      sums()};
  if (v.sample_weights) c.arguments.push_back(input("sample_weight", {v.rows}, uniform(0, 3)));
  if (v.gradient) c.arguments.push_back(output("dx", shape));
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    Tensor none;
    b.hinge(s, {}, t["x"], t["target"], v.sample_weights ? t["sample_weight"] : none,
            v.gradient ? t["dx"] : none, t["sums"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    const Loss loss = loss_of(v, in);
    if (v.gradient) out["dx"] = loss.gradient;
    out["sums"] = {loss.sum, loss.weight};
  };
  if (!v.gradient) return c;
  const auto kink = [=](const Values& in, std::size_t index, double reach) {
    return loss_of(v, in).nearest[index / static_cast<std::size_t>(v.outputs)] <= reach;
  };
  c.derivatives = {{"dx", "x", [=](const Values& in) { return loss_of(v, in).sum.value; }, kink}};
  return c;
}

}  // namespace

OpCases hinge_cases() {
  OpCases cases;
  for (const auto& [rows, outputs] : {std::pair{100, 10},
                                      {1, 1},
                                      {2, 2},
                                      {0, 3},
                                      {31, 1},
                                      {13, 7},
                                      {7, 33},
                                      {3, 100},
                                      {512, 128}})
    for (const bool weights : {false, true})
      cases.push_back(hinge_case({.rows = rows, .outputs = outputs, .sample_weights = weights}));
  cases.push_back(hinge_case({.rows = 30, .outputs = 17, .ignored = 0.3}));
  cases.push_back(hinge_case({.rows = 9, .outputs = 13, .gradient = false}));
  cases.push_back(hinge_case({.rows = 33, .outputs = 5, .spread = 60}));
  return cases;
}

}  // namespace lockstep::cases
