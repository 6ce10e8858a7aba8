// Penalties of the objective, whose gradient joins that of the loss, and clipping by value.
#include <algorithm>

#include "kernels/cases/op_list.h"

namespace lockstep::cases {

namespace {

OpCase penalty_case(std::int64_t elements, PenaltyOptions options) {
  OpCase c;
  c.operation = "add_penalty";
  c.label = fmt::format("{} l1 {} l2 {}", elements, options.l1, options.l2);
  c.tolerance = 4;
  c.bytes = 12.0 * static_cast<double>(elements);
  c.use = elements > 50'000 ? Use::kBoth : Use::kTest;
  c.arguments = {input("value", {elements}), state("gradient", {elements})};
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.add_penalty(s, options, t["value"], t["gradient"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    for (std::size_t i = 0; i < in["value"].size(); ++i) {
      const double w = in["value"][i], sign = w > 0 ? 1 : w < 0 ? -1 : 0;
      out["gradient"][i] = Real(in["gradient"][i]) + Real(sign * options.l1) + Real(w * options.l2);
    }
  };
  // What was added is the slope of l1 Σ |value| + l2 / 2 Σ value²; the gradient before stands for
  // the loss Σ gradient · value.
  const auto objective = [=](const Values& in) {
    double sum = 0;
    for (std::size_t i = 0; i < in["value"].size(); ++i) {
      const double w = in["value"][i];
      sum += in["gradient"][i] * w + options.l1 * std::fabs(w) + options.l2 / 2 * w * w;
    }
    return sum;
  };
  const auto kink = [](const Values& in, std::size_t i, double reach) {
    return std::fabs(in["value"][i]) <= reach;
  };
  c.derivatives = {{"gradient", "value", objective, kink}};
  return c;
}

OpCase clamp_case(std::int64_t elements, float limit) {
  OpCase c;
  c.operation = "clamp";
  c.label = fmt::format("{} to {}", elements, limit);
  c.bytes = 8.0 * static_cast<double>(elements);
  c.use = elements > 50'000 ? Use::kBoth : Use::kTest;
  c.arguments = {state("x", {elements}, float_patterns())};
  if (elements > 50'000) c.arguments[0].fill = normal();
  c.run = [=](Backend& b, Stream& s, Tensors& t) { b.clamp(s, limit, t["x"]); };
  c.reference = [=](const Values& in, Results& out) {
    std::ranges::transform(in["x"], out["x"].begin(), [=](double x) {
      return std::isnan(x) ? x : std::clamp<double>(x, -limit, limit);
    });
  };
  return c;
}

}  // namespace

OpCases penalty_cases() {
  OpCases cases;
  for (const std::int64_t elements : {0, 1, 7, 33, 1000, 200'000}) {
    cases.push_back(penalty_case(elements, {.l1 = 0.1f, .l2 = 0.3f}));
    cases.push_back(clamp_case(elements, 0.5f));
  }
  cases.push_back(penalty_case(100, {.l1 = 2}));
  cases.push_back(penalty_case(100, {.l2 = 2}));
  OpCase zeros = penalty_case(5, {.l1 = 1, .l2 = 1});
  zeros.label += " of zeros";
  zeros.arguments[0].fill = listed({0.0, -0.0});
  zeros.derivatives.clear();
  cases.push_back(zeros);
  return cases;
}

}  // namespace lockstep::cases
