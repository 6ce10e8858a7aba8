// ReLU, sigmoid, tanh: ordinary values, and the whole range of float32 with infinities and NaN.
#include <algorithm>

#include "kernels/cases/op_list.h"

namespace lockstep::cases {

namespace {

struct Function {
  Activation kind;
  const char* name;
  double (*forward)(double x);
  double (*slope)(double y);    // dy/dx as a function of y
  double (*inverse)(double y);  // an x that gives y
};

constexpr Function kFunctions[] = {
    {Activation::kRelu, "relu", [](double x) { return std::isnan(x) ? x : std::max(x, 0.0); },
     [](double y) { return y > 0 ? 1.0 : 0.0; }, [](double y) { return y > 0 ? y : -1.0; }},
    {Activation::kSigmoid, "sigmoid", [](double x) { return 1 / (1 + std::exp(-x)); },
     [](double y) { return y * (1 - y); }, [](double y) { return std::log(y / (1 - y)); }},
    {Activation::kTanh, "tanh", [](double x) { return std::tanh(x); },
     [](double y) { return 1 - y * y; }, [](double y) { return std::atanh(y); }},
};

OpCase forward_case(const Function& f, std::int64_t elements, const Fill& fill,
                    const std::string& what) {
  OpCase c;
  c.operation = "activation_forward";
  c.label = fmt::format("{} {}{}", f.name, elements, what);
  c.tolerance = f.kind == Activation::kRelu ? 0 : 8;  // 4 units in the last place
  c.bytes = 8.0 * static_cast<double>(elements);
  c.use = elements > 50'000 ? Use::kBoth : Use::kTest;
  c.arguments = {input("x", {elements}, fill), output("y", {elements})};
  c.run = [f](Backend& b, Stream& s, Tensors& t) {
    b.activation_forward(s, f.kind, t["x"], t["y"]);
  };
  c.reference = [f](const Values& in, Results& out) {
    std::ranges::transform(in["x"], out["y"].begin(), f.forward);
  };
  c.in_place = {{"y", "x"}};
  return c;
}

OpCase backward_case(const Function& f, std::int64_t elements) {
  OpCase c;
  c.operation = "activation_backward";
  c.label = fmt::format("{} {}", f.name, elements);
  c.tolerance = 8;
  c.bytes = 12.0 * static_cast<double>(elements);
  c.use = elements > 50'000 ? Use::kBoth : Use::kTest;
  const Fill from_x = [f](Random& random, const Values&, Doubles& values) {
    for (double& y : values) y = f.forward(random.normal());
  };
  const Fill inverse = [f](Random&, const Values& earlier, Doubles& values) {
    std::ranges::transform(earlier["y"], values.begin(), f.inverse);
  };
  c.arguments = {input("y", {elements}, from_x), input("dy", {elements}),
                 hidden("x", {elements}, inverse), output("dx", {elements})};
  c.run = [f](Backend& b, Stream& s, Tensors& t) {
    b.activation_backward(s, f.kind, t["y"], t["dy"], t["dx"]);
  };
  c.reference = [f](const Values& in, Results& out) {
    // 1 - y² and y (1 - y) cancel near saturation: the error is that of the terms.
    for (std::size_t i = 0; i < in["y"].size(); ++i)
      out["dx"][i] = {in["dy"][i] * f.slope(in["y"][i]), std::fabs(in["dy"][i])};
  };
  const auto objective = [f](const Values& in) {
    double sum = 0;
    for (std::size_t i = 0; i < in["x"].size(); ++i) sum += in["dy"][i] * f.forward(in["x"][i]);
    return sum;
  };
  const auto bend = [f](const Values& in, std::size_t index, double reach) {
    return f.kind == Activation::kRelu && std::fabs(in["x"][index]) <= reach;
  };
  c.derivatives = {{"dx", "x", objective, bend}};
  c.in_place = {{"dx", "dy"}};
  return c;
}

}  // namespace

OpCases activation_cases() {
  OpCases cases;
  for (const Function& f : kFunctions) {
    for (const std::int64_t elements : {0, 1, 7, 13, 33, 100, 2048, 200'000}) {
      cases.push_back(forward_case(f, elements, normal(3), ""));
      cases.push_back(backward_case(f, elements));
    }
    cases.push_back(forward_case(f, 10'000, float_patterns(), " over all exponents"));
    cases.push_back(forward_case(f, 10'000, uniform(-100, 100), " within 100"));
    cases.push_back(forward_case(f, 10'000, uniform(-0.1, 0.1), " within 0.1"));
    cases.push_back(forward_case(
        f, 21, listed({0.0, -0.0, INFINITY, -INFINITY, NAN, 88.8, -88.8, 104, -104, 1e-30, -1e-30}),
        " special values"));
  }
  return cases;
}

}  // namespace lockstep::cases
