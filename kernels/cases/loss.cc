// Losses that are a mean over a row's columns, times the sample's weight: binary cross-entropy from
// logits, squared, absolute and Huber's error (PyTorch's BCEWithLogitsLoss, MSELoss, L1Loss,
// HuberLoss).
#include "kernels/cases/op_list.h"

namespace lockstep::cases {

namespace {

struct Variant {
  std::int64_t rows, columns;
  bool sample_weights = false, class_targets = false, gradient = true;
  double spread = 1;

  std::string label() const {
    return fmt::format("{}x{}{}{} spread {}{}", rows, columns, sample_weights ? " weighted" : "",
                       class_targets ? " classes" : "", spread, gradient ? "" : " evaluation");
  }
};

// One column's loss and its derivative.
struct Term {
  Real loss, slope;
};

Term binary_cross_entropy(double x, double target) {  // max(x, 0) - x t + log(1 + exp(-|x|))
  const double sigmoid = x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x));
  return {Real(std::max(x, 0.0)) - Real(x * target) + Real(std::log1p(std::exp(-std::fabs(x)))),
          Real(sigmoid) - Real(target)};
}

Term squared_error(double x, double target) {
  const double error = x - target, size = std::fabs(x) + std::fabs(target);
  return {{error * error, std::fabs(error) * size}, {2 * error, 2 * size}};
}

Term absolute_error(double x, double target) {
  const double error = x - target, size = std::fabs(x) + std::fabs(target);
  return {{std::fabs(error), size}, error > 0 ? 1.0 : error < 0 ? -1.0 : 0.0};
}

constexpr double kDelta = 0.75;

Term huber(double x, double target) {
  const double error = x - target, size = std::fabs(x) + std::fabs(target);
  if (std::fabs(error) <= kDelta)
    return {{error * error / 2, std::fabs(error) * size}, {error, size}};
  return {{kDelta * (std::fabs(error) - kDelta / 2), kDelta * size}, error > 0 ? kDelta : -kDelta};
}

using Run = void (*)(Backend&, Stream&, const Tensor& x, const Tensor& target,
                     const Tensor& sample_weight, Tensor& dx, Tensor& sums);

struct Kind {
  const char* operation;
  Term (*term)(double x, double target);
  Run run;
  bool probabilities = false;  // targets in [0, 1]
  double bend = -1;            // at this |error|; below 0: nowhere
};

constexpr Kind kKinds[] = {
    {"binary_cross_entropy", binary_cross_entropy,
     [](Backend& b, Stream& s, const Tensor& x, const Tensor& target, const Tensor& weight,
        Tensor& dx, Tensor& sums) { b.binary_cross_entropy(s, x, target, weight, dx, sums); },
     true},
    {"mean_squared_error", squared_error,
     [](Backend& b, Stream& s, const Tensor& x, const Tensor& target, const Tensor& weight,
        Tensor& dx, Tensor& sums) { b.mean_squared_error(s, x, target, weight, dx, sums); }},
    {"mean_absolute_error", absolute_error,
     [](Backend& b, Stream& s, const Tensor& x, const Tensor& target, const Tensor& weight,
        Tensor& dx, Tensor& sums) { b.mean_absolute_error(s, x, target, weight, dx, sums); },
     false, 0},
    {"huber", huber,
     [](Backend& b, Stream& s, const Tensor& x, const Tensor& target, const Tensor& weight,
        Tensor& dx, Tensor& sums) {
       b.huber(s, {.delta = static_cast<float>(kDelta)}, x, target, weight, dx, sums);
     },
     false, kDelta},
};

struct Loss {
  Reals gradient;
  Real sum, weight;
};

Loss loss_of(const Variant& v, Term (*term_of)(double, double), const Values& in) {
  Loss loss{Reals(in["x"].size()), 0.0, 0.0};
  const auto columns = static_cast<std::size_t>(v.columns);
  for (std::size_t i = 0; i < in["x"].size(); ++i) {
    const double weight = v.sample_weights ? in["sample_weight"][i / columns] : 1;
    const double share = weight / static_cast<double>(v.columns);
    const Term term = term_of(in["x"][i], in["target"][i]);
    loss.gradient[i] = term.slope * share;
    loss.sum += term.loss * share;
    if (i % columns == 0) loss.weight += weight;
  }
  return loss;
}

OpCase loss_case(const Variant& v, const Kind& kind) {
  OpCase c;
  c.operation = kind.operation;
  c.label = v.label();
  c.tolerance = 16;
  c.bytes = 12.0 * static_cast<double>(v.rows * v.columns);
  c.use = v.rows * v.columns > 50'000 ? Use::kBoth : Use::kTest;
  const Shape shape = {v.rows, v.columns};
  c.arguments = {input("x", shape, normal(v.spread)),
                 v.class_targets
                     ? input("target", {v.rows}, labels(2), DType::kInt64)
                     : input("target", shape, kind.probabilities ? uniform(0, 1) : normal()),
                 sums()};
  if (v.sample_weights) c.arguments.push_back(input("sample_weight", {v.rows}, uniform(0, 3)));
  if (v.gradient) c.arguments.push_back(output("dx", shape));
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    Tensor none;
    kind.run(b, s, t["x"], t["target"], v.sample_weights ? t["sample_weight"] : none,
             v.gradient ? t["dx"] : none, t["sums"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    const Loss loss = loss_of(v, kind.term, in);
    if (v.gradient) out["dx"] = loss.gradient;
    out["sums"] = {loss.sum, loss.weight};
  };
  const auto kink = [=](const Values& in, std::size_t i, double reach) {
    const double error = std::fabs(in["x"][i] - in["target"][i]);
    return kind.bend >= 0 && std::fabs(error - kind.bend) <= reach;
  };
  if (v.gradient)
    c.derivatives = {
        {"dx", "x", [=](const Values& in) { return loss_of(v, kind.term, in).sum.value; }, kink}};
  return c;
}

}  // namespace

OpCases loss_cases() {
  OpCases cases;
  for (const Kind& kind : kKinds) {
    for (const auto& [rows, columns] :
         {std::pair{100, 1}, {1, 1}, {0, 3}, {13, 7}, {7, 33}, {31, 17}, {3, 100}, {512, 128}})
      for (const bool weights : {false, true})
        cases.push_back(
            loss_case({.rows = rows, .columns = columns, .sample_weights = weights}, kind));
    cases.push_back(loss_case({.rows = 9, .columns = 13, .gradient = false}, kind));
    cases.push_back(loss_case({.rows = 33, .columns = 7, .spread = 60}, kind));
  }
  for (const bool weights : {false, true})
    cases.push_back(loss_case(
        {.rows = 31, .columns = 1, .sample_weights = weights, .class_targets = true}, kKinds[0]));
  return cases;
}

}  // namespace lockstep::cases
