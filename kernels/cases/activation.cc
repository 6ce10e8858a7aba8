// Activations: ordinary values, and the whole range of float32 with infinities and NaN. Backward
// reads y, and has a hidden x that gives it, or x itself.
#include <algorithm>
#include <numbers>

#include "kernels/cases/op_list.h"

namespace lockstep::cases {

namespace {

struct Function {
  Activation activation;
  const char* name;
  double (*forward)(double x, double p);
  double (*slope)(double kept, double p);    // dy/dx
  double (*inverse)(double kept, double p);  // an x that gives what is kept
  // Sizes of the terms that cancel in y and in the slope; null: |y|, 1.
  double (*forward_size)(double x) = nullptr;
  double (*slope_size)(double kept) = nullptr;
  double forward_tolerance = 8;  // 4 units in the last place
  bool bends = false;            // at 0

  double y(double x) const { return forward(x, parameter()); }
  double parameter() const { return activation.parameter; }
  std::string label() const {
    return activation.parameter == 0 ? name : fmt::format("{}({})", name, activation.parameter);
  }
};

double same(double x, double) {
  return x;
}

double normal_distribution(double x) {
  return std::erfc(-x / std::numbers::sqrt2) / 2;
}

double bell(double x) {
  return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
}

constexpr double kSteep = 0.7978845608028654, kCubic = 0.044715;

double angle(double x) {
  return kSteep * (x + kCubic * x * x * x);
}
double angle_slope(double x) {
  return kSteep * (1 + 3 * kCubic * x * x);
}

const std::vector<Function>& functions() {
  static const std::vector<Function> list = {
      {.activation = Activation::kRelu,
       .name = "relu",
       .forward = [](double x, double) { return std::isnan(x) ? x : std::max(x, 0.0); },
       .slope = [](double y, double) { return y > 0 ? 1.0 : 0.0; },
       .inverse = [](double y, double) { return y > 0 ? y : -1.0; },
       .forward_tolerance = 0,
       .bends = true},
      {.activation = Activation::kSigmoid,
       .name = "sigmoid",
       .forward = [](double x, double) { return 1 / (1 + std::exp(-x)); },
       .slope = [](double y, double) { return y * (1 - y); },
       .inverse = [](double y, double) { return std::log(y / (1 - y)); }},
      {.activation = Activation::kTanh,
       .name = "tanh",
       .forward = [](double x, double) { return std::tanh(x); },
       .slope = [](double y, double) { return 1 - y * y; },
       .inverse = [](double y, double) { return std::atanh(y); }},
      {.activation = Activation::kLeakyRelu,
       .name = "leaky_relu",
       .forward = [](double x, double p) { return x < 0 ? p * x : x; },
       .slope = [](double y, double p) { return y > 0 ? 1.0 : p; },
       .inverse = [](double y, double p) { return y > 0 ? y : y / p; },
       .forward_tolerance = 1,
       .bends = true},
      {.activation = Activation::kElu,
       .name = "elu",
       .forward = [](double x, double p) { return x > 0 ? x : p * std::expm1(x); },
       .slope = [](double y, double p) { return y > 0 ? 1.0 : y + p; },
       .inverse = [](double y, double p) { return y > 0 ? y : std::log1p(y / p); },
       .bends = true},
      {.activation = {Activation::kElu, 0.5f},
       .name = "elu",
       .forward = [](double x, double p) { return x > 0 ? x : p * std::expm1(x); },
       .slope = [](double y, double p) { return y > 0 ? 1.0 : y + p; },
       .inverse = [](double y, double p) { return y > 0 ? y : std::log1p(y / p); },
       .bends = true},
      {.activation = Activation::kGelu,
       .name = "gelu",
       .forward = [](double x, double) { return x * normal_distribution(x); },
       .slope = [](double x, double) { return normal_distribution(x) + x * bell(x); },
       .inverse = same,
       .forward_size = [](double x) { return std::fabs(x); },
       .slope_size = [](double) { return 2.0; }},
      {.activation = Activation::kGeluTanh,
       .name = "gelu_tanh",
       .forward = [](double x, double) { return x / 2 * (1 + std::tanh(angle(x))); },
       .slope =
           [](double x, double) {
             const double t = std::tanh(angle(x));
             return (1 + t + x * (1 - t * t) * angle_slope(x)) / 2;
           },
       .inverse = same,
       .forward_size = [](double x) { return std::fabs(x); },
       .slope_size = [](double x) { return 1 + std::fabs(x) * angle_slope(x); }},
      {.activation = Activation::kSilu,
       .name = "silu",
       .forward = [](double x, double) { return x / (1 + std::exp(-x)); },
       .slope =
           [](double x, double) {
             const double s = 1 / (1 + std::exp(-x));
             return s * (1 + x * (1 - s));
           },
       .inverse = same,
       // Where e^-x is no float, y is 0.
       .forward_size =
           [](double x) { return std::fabs(x) * std::max(1 / (1 + std::exp(-x)), 1e-30); },
       .slope_size = [](double x) { return 1 + std::fabs(x); }},
  };
  return list;
}

OpCase forward_case(const Function& f, std::int64_t elements, const Fill& fill,
                    const std::string& what) {
  OpCase c;
  c.operation = "activation_forward";
  c.label = fmt::format("{} {}{}", f.label(), elements, what);
  c.tolerance = f.forward_tolerance;
  c.bytes = 8.0 * static_cast<double>(elements);
  c.use = elements > 50'000 ? Use::kBoth : Use::kTest;
  c.arguments = {input("x", {elements}, fill), output("y", {elements})};
  c.run = [f](Backend& b, Stream& s, Tensors& t) {
    b.activation_forward(s, f.activation, t["x"], t["y"]);
  };
  c.reference = [f](const Values& in, Results& out) {
    std::ranges::transform(in["x"], out["y"].begin(), [&f](double x) {
      const double y = f.y(x);
      return f.forward_size ? Real(y, f.forward_size(x)) : Real(y);
    });
  };
  c.in_place = {{"y", "x"}};
  return c;
}

OpCase backward_case(const Function& f, std::int64_t elements) {
  OpCase c;
  c.operation = "activation_backward";
  c.label = fmt::format("{} {}", f.label(), elements);
  c.tolerance = 8;
  c.bytes = 12.0 * static_cast<double>(elements);
  c.use = elements > 50'000 ? Use::kBoth : Use::kTest;
  const Fill from_x = [f](Random& random, const Values&, Doubles& values) {
    for (double& kept : values) {
      kept = random.normal();
      if (!f.activation.backward_reads_input()) kept = f.y(kept);
    }
  };
  const Fill inverse = [f](Random&, const Values& earlier, Doubles& values) {
    std::ranges::transform(earlier["kept"], values.begin(),
                           [&f](double kept) { return f.inverse(kept, f.parameter()); });
  };
  c.arguments = {input("kept", {elements}, from_x), input("dy", {elements}),
                 hidden("x", {elements}, inverse), output("dx", {elements})};
  c.run = [f](Backend& b, Stream& s, Tensors& t) {
    b.activation_backward(s, f.activation, t["kept"], t["dy"], t["dx"]);
  };
  c.reference = [f](const Values& in, Results& out) {
    // 1 - y² and y (1 - y) cancel near saturation: the error is that of the terms.
    for (std::size_t i = 0; i < in["kept"].size(); ++i) {
      const double kept = in["kept"][i], size = f.slope_size ? f.slope_size(kept) : 1.0;
      out["dx"][i] = {in["dy"][i] * f.slope(kept, f.parameter()), size * std::fabs(in["dy"][i])};
    }
  };
  const auto objective = [f](const Values& in) {
    double sum = 0;
    for (std::size_t i = 0; i < in["x"].size(); ++i) sum += in["dy"][i] * f.y(in["x"][i]);
    return sum;
  };
  const auto bend = [f](const Values& in, std::size_t index, double reach) {
    return f.bends && std::fabs(in["x"][index]) <= reach;
  };
  c.derivatives = {{"dx", "x", objective, bend}};
  c.in_place = {{"dx", "dy"}};
  return c;
}

}  // namespace

OpCases activation_cases() {
  OpCases cases;
  for (const Function& f : functions()) {
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
