// Softmax and its logarithm over the last axis, and the index of the largest.
#include <algorithm>

#include "kernels/cases/op_list.h"

namespace lockstep::cases {

namespace {

struct Row {
  std::size_t first;
  double largest, sum;  // of x; of exp(x - largest)
};

template <typename Visit>
void for_each_row(const Doubles& x, std::size_t columns, Visit visit) {
  for (std::size_t first = 0; first < x.size(); first += columns) {
    const auto begin = x.begin() + static_cast<std::ptrdiff_t>(first);
    Row row{first, *std::max_element(begin, begin + static_cast<std::ptrdiff_t>(columns)), 0};
    for (std::size_t c = 0; c < columns; ++c) row.sum += std::exp(x[first + c] - row.largest);
    visit(row);
  }
}

// y = exp(x - max) / Σ exp(x - max); the rounding of x - max before exp counts with its size.
Reals softmax(const Doubles& x, std::size_t columns) {
  Reals y(x.size());
  for_each_row(x, columns, [&](const Row& row) {
    for (std::size_t i = row.first; i < row.first + columns; ++i) {
      const double y_i = std::exp(x[i] - row.largest) / row.sum;
      y[i] = {y_i, y_i * (1 + std::fabs(x[i] - row.largest) / 8)};
    }
  });
  return y;
}

// y = x - max - log Σ exp(x - max); each difference rounds by the size of what it takes apart.
Reals log_softmax(const Doubles& x, std::size_t columns) {
  Reals y(x.size());
  for_each_row(x, columns, [&](const Row& row) {
    for (std::size_t i = row.first; i < row.first + columns; ++i)
      y[i] = {x[i] - row.largest - std::log(row.sum),
              std::fabs(x[i]) + std::fabs(row.largest) + std::log(row.sum) + 1};
  });
  return y;
}

// dx = y (dy - Σ y dy)
void softmax_gradient(const Doubles& y, const Doubles& dy, std::size_t columns, Reals& dx) {
  for (std::size_t row = 0; row < y.size(); row += columns) {
    Real product;
    for (std::size_t i = row; i < row + columns; ++i) product += y[i] * dy[i];
    for (std::size_t i = row; i < row + columns; ++i) dx[i] = Real(y[i]) * (Real(dy[i]) - product);
  }
}

// dx = dy - e^y Σ dy
void log_softmax_gradient(const Doubles& y, const Doubles& dy, std::size_t columns, Reals& dx) {
  for (std::size_t row = 0; row < y.size(); row += columns) {
    Real sum;
    for (std::size_t i = row; i < row + columns; ++i) sum += dy[i];
    for (std::size_t i = row; i < row + columns; ++i)
      dx[i] = Real(dy[i]) - sum * Real(std::exp(y[i]));
  }
}

struct Form {
  const char* name;
  Reals (*forward)(const Doubles& x, std::size_t columns);
  void (*gradient)(const Doubles& y, const Doubles& dy, std::size_t columns, Reals& dx);
  void (Backend::*run_forward)(Stream&, const Tensor& x, Tensor& y);
  void (Backend::*run_backward)(Stream&, const Tensor& y, const Tensor& dy, Tensor& dx);
  double (*x_of)(double y);  // an x whose row has this y
};

constexpr Form kSoftmax = {"softmax",
                           softmax,
                           softmax_gradient,
                           &Backend::softmax_forward,
                           &Backend::softmax_backward,
                           [](double y) { return std::log(y); }};
constexpr Form kLogSoftmax = {"log_softmax",
                              log_softmax,
                              log_softmax_gradient,
                              &Backend::log_softmax_forward,
                              &Backend::log_softmax_backward,
                              [](double y) { return y; }};

OpCase common(const Shape& shape, const std::string& operation) {
  OpCase c;
  c.operation = operation;
  c.label = shape.to_string();
  c.tolerance = 16;
  c.bytes = 8.0 * static_cast<double>(shape.elements());
  c.use = shape.elements() > 50'000 ? Use::kBoth : Use::kTest;
  return c;
}

OpCase forward_case(const Form& form, const Shape& shape, double spread) {
  OpCase c = common(shape, std::string(form.name) + "_forward");
  c.label += fmt::format(" spread {}", spread);
  const auto columns = static_cast<std::size_t>(shape.back());
  c.arguments = {input("x", shape, normal(spread)), output("y", shape)};
  c.run = [=](Backend& b, Stream& s, Tensors& t) { (b.*form.run_forward)(s, t["x"], t["y"]); };
  c.reference = [=](const Values& in, Results& out) { out["y"] = form.forward(in["x"], columns); };
  return c;
}

OpCase backward_case(const Form& form, const Shape& shape) {
  OpCase c = common(shape, std::string(form.name) + "_backward");
  c.bytes *= 1.5;
  const auto columns = static_cast<std::size_t>(shape.back());
  const Fill from_x = [=](Random& random, const Values&, Doubles& values) {
    for (double& x : values) x = random.normal();
    std::ranges::transform(form.forward(values, columns), values.begin(), &Real::value);
  };
  const Fill to_x = [=](Random&, const Values& earlier, Doubles& values) {
    std::ranges::transform(earlier["y"], values.begin(), form.x_of);
  };
  c.arguments = {input("y", shape, from_x), input("dy", shape), hidden("x", shape, to_x),
                 output("dx", shape)};
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    (b.*form.run_backward)(s, t["y"], t["dy"], t["dx"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    form.gradient(in["y"], in["dy"], columns, out["dx"]);
  };
  c.derivatives = {
      {"dx", "x", [=](const Values& in) { return dot(in["dy"], form.forward(in["x"], columns)); }}};
  return c;
}

OpCase argmax_case(const Shape& shape, const Fill& fill, const std::string& what) {
  OpCase c = common(shape, "argmax");
  c.label += what;
  const auto columns = shape[1];
  c.arguments = {input("x", shape, fill), output("index", {shape[0]}, DType::kInt64)};
  c.run = [](Backend& b, Stream& s, Tensors& t) { b.argmax(s, t["x"], t["index"]); };
  c.reference = [=](const Values& in, Results& out) {
    auto row = in["x"].begin();
    for (Real& index : out["index"]) {
      index = static_cast<double>(std::max_element(row, row + columns) - row);  // the first
      row += columns;
    }
  };
  return c;
}

}  // namespace

OpCases softmax_cases() {
  OpCases cases;
  for (const Shape& shape : {Shape{100, 10},
                             {1, 1},
                             {0, 5},
                             {13, 7},
                             {7, 17},
                             {3, 31},
                             {2, 33},
                             {5, 100},
                             {3, 1000},
                             {2, 3, 5},
                             {128, 1000}}) {
    for (const Form& form : {kSoftmax, kLogSoftmax}) {
      cases.push_back(forward_case(form, shape, 1));
      cases.push_back(forward_case(form, shape, 30));
      cases.push_back(backward_case(form, shape));
    }
    if (shape.rank() != 2) continue;
    cases.push_back(argmax_case(shape, normal(), ""));
    cases.push_back(argmax_case(shape, labels(3), " many equals"));
  }
  OpCase extremes = forward_case(kSoftmax, {3, 4}, 1);
  extremes.label = "(3, 4) largest floats";
  extremes.arguments[0].fill =
      listed({3e38, -3e38, 0, 3e38, -3e38, -3e38, -3e38, -3e38, 1, 2, NAN, 3});
  extremes.reference = [](const Values&, Results& out) {
    const double expected[] = {0.5, 0, 0, 0.5, 0.25, 0.25, 0.25, 0.25, NAN, NAN, NAN, NAN};
    std::ranges::copy(expected, out["y"].begin());
  };
  cases.push_back(extremes);
  OpCase logarithms = forward_case(kLogSoftmax, {3, 4}, 1);
  logarithms.label = "(3, 4) with infinities and NaN";
  logarithms.arguments[0].fill =
      listed({0, -INFINITY, 0, -INFINITY, 3e38, -3e38, 0, 1, 1, 2, NAN, 3});
  logarithms.reference = [](const Values& in, Results& out) {
    const double half = std::log(0.5), low = in["x"][5] - in["x"][4];
    const Real expected[] = {half,        -INFINITY,   half, -INFINITY, 0.0, low,
                             -in["x"][4], -in["x"][4], NAN,  NAN,       NAN, NAN};
    std::ranges::copy(expected, out["y"].begin());
    out["y"][5] = -INFINITY;  // the difference is no float
  };
  cases.push_back(logarithms);
  return cases;
}

}  // namespace lockstep::cases
