// Binary cross-entropy from logits and mean squared error: a row's loss is the mean over its
// columns, times the sample's weight (PyTorch's BCEWithLogitsLoss and MSELoss).
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

OpCase loss_case(const Variant& v, bool binary) {
  OpCase c;
  c.operation = binary ? "binary_cross_entropy" : "mean_squared_error";
  c.label = v.label();
  c.tolerance = 16;
  c.bytes = 12.0 * static_cast<double>(v.rows * v.columns);
  c.use = v.rows * v.columns > 50'000 ? Use::kBoth : Use::kTest;
  const Shape shape = {v.rows, v.columns};
  c.arguments = {input("x", shape, normal(v.spread)),
                 v.class_targets ? input("target", {v.rows}, labels(2), DType::kInt64)
                                 : input("target", shape, binary ? uniform(0, 1) : normal()),
                 sums()};
  if (v.sample_weights) c.arguments.push_back(input("sample_weight", {v.rows}, uniform(0, 3)));
  if (v.gradient) c.arguments.push_back(output("dx", shape));
  const auto operation = binary ? &Backend::binary_cross_entropy : &Backend::mean_squared_error;
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    Tensor none;
    (b.*operation)(s, t["x"], t["target"], v.sample_weights ? t["sample_weight"] : none,
                   v.gradient ? t["dx"] : none, t["sums"]);
  };
  const auto term = binary ? binary_cross_entropy : squared_error;
  c.reference = [=](const Values& in, Results& out) {
    const Loss loss = loss_of(v, term, in);
    if (v.gradient) out["dx"] = loss.gradient;
    out["sums"] = {loss.sum, loss.weight};
  };
  if (v.gradient)
    c.derivatives = {{"dx", "x", [=](const Values& in) { return loss_of(v, term, in).sum.value; }}};
  return c;
}

}  // namespace

OpCases loss_cases() {
  OpCases cases;
  for (const bool binary : {true, false}) {
    for (const auto& [rows, columns] :
         {std::pair{100, 1}, {1, 1}, {0, 3}, {13, 7}, {7, 33}, {31, 17}, {3, 100}, {512, 128}})
      for (const bool weights : {false, true})
        cases.push_back(
            loss_case({.rows = rows, .columns = columns, .sample_weights = weights}, binary));
    cases.push_back(loss_case({.rows = 9, .columns = 13, .gradient = false}, binary));
    cases.push_back(loss_case({.rows = 33, .columns = 7, .spread = 60}, binary));
  }
  for (const bool weights : {false, true})
    cases.push_back(loss_case(
        {.rows = 31, .columns = 1, .sample_weights = weights, .class_targets = true}, true));
  return cases;
}

}  // namespace lockstep::cases
