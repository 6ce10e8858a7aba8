// Softmax and its logarithm over the last axis, and the index of the largest.
#include <algorithm>

#include "kernels/cases/op_list.h"

namespace lockstep::cases {

namespace {

// y = exp(x - max) / Σ exp(x - max); the rounding of x - max before exp counts with its size.
Reals forward(const Doubles& x, std::size_t columns) {
  Reals y(x.size());
  for (std::size_t row = 0; row < x.size(); row += columns) {
    const auto first = x.begin() + static_cast<std::ptrdiff_t>(row);
    const double largest = *std::max_element(first, first + static_cast<std::ptrdiff_t>(columns));
    double sum = 0;
    for (std::size_t c = 0; c < columns; ++c) sum += std::exp(x[row + c] - largest);
    for (std::size_t c = 0; c < columns; ++c) {
      const double y_c = std::exp(x[row + c] - largest) / sum;
      y[row + c] = {y_c, y_c * (1 + std::fabs(x[row + c] - largest) / 8)};
    }
  }
  return y;
}

OpCase common(const Shape& shape, const std::string& operation) {
  OpCase c;
  c.operation = operation;
  c.label = shape.to_string();
  c.tolerance = 16;
  c.bytes = 8.0 * static_cast<double>(shape.elements());
  c.use = shape.elements() > 50'000 ? Use::kBoth : Use::kTest;
  return c;
}

OpCase forward_case(const Shape& shape, double spread) {
  OpCase c = common(shape, "softmax_forward");
  c.label += fmt::format(" spread {}", spread);
  const auto columns = static_cast<std::size_t>(shape.back());
  c.arguments = {input("x", shape, normal(spread)), output("y", shape)};
  c.run = [](Backend& b, Stream& s, Tensors& t) { b.softmax_forward(s, t["x"], t["y"]); };
  c.reference = [=](const Values& in, Results& out) { out["y"] = forward(in["x"], columns); };
  return c;
}

OpCase backward_case(const Shape& shape) {
  OpCase c = common(shape, "softmax_backward");
  const auto columns = static_cast<std::size_t>(shape.back());
  const Fill from_x = [=](Random& random, const Values&, Doubles& values) {
    for (double& x : values) x = random.normal();
    const Reals y = forward(values, columns);
    std::ranges::transform(y, values.begin(), &Real::value);
  };
  const Fill logarithm = [](Random&, const Values& earlier, Doubles& values) {
    std::ranges::transform(earlier["y"], values.begin(), [](double y) { return std::log(y); });
  };
  c.arguments = {input("y", shape, from_x), input("dy", shape), hidden("x", shape, logarithm),
                 output("dx", shape)};
  c.run = [](Backend& b, Stream& s, Tensors& t) {
    b.softmax_backward(s, t["y"], t["dy"], t["dx"]);
  };
  c.reference = [=](const Values& in, Results& out) {  // dx = y (dy - Σ y dy)
    const Doubles &y = in["y"], &dy = in["dy"];
    for (std::size_t row = 0; row < y.size(); row += columns) {
      Real product;
      for (std::size_t i = row; i < row + columns; ++i) product += y[i] * dy[i];
      for (std::size_t i = row; i < row + columns; ++i)
        out["dx"][i] = Real(y[i]) * (Real(dy[i]) - product);
    }
  };
  c.derivatives = {
      {"dx", "x", [=](const Values& in) { return dot(in["dy"], forward(in["x"], columns)); }}};
  return c;
}

// y = x - max - log Σ exp(x - max); each difference rounds by the size of what it takes apart.
Reals log_forward(const Doubles& x, std::size_t columns) {
  Reals y(x.size());
  for (std::size_t row = 0; row < x.size(); row += columns) {
    const auto first = x.begin() + static_cast<std::ptrdiff_t>(row);
    const double largest = *std::max_element(first, first + static_cast<std::ptrdiff_t>(columns));
    double sum = 0;
    for (std::size_t c = 0; c < columns; ++c) sum += std::exp(x[row + c] - largest);
    for (std::size_t c = 0; c < columns; ++c)
      y[row + c] = {x[row + c] - largest - std::log(sum),
                    std::fabs(x[row + c]) + std::fabs(largest) + std::log(sum) + 1};
  }
  return y;
}

OpCase log_forward_case(const Shape& shape, double spread) {
  OpCase c = common(shape, "log_softmax_forward");
  c.label += fmt::format(" spread {}", spread);
  const auto columns = static_cast<std::size_t>(shape.back());
  c.arguments = {input("x", shape, normal(spread)), output("y", shape)};
  c.run = [](Backend& b, Stream& s, Tensors& t) { b.log_softmax_forward(s, t["x"], t["y"]); };
  c.reference = [=](const Values& in, Results& out) { out["y"] = log_forward(in["x"], columns); };
  return c;
}

OpCase log_backward_case(const Shape& shape) {
  OpCase c = common(shape, "log_softmax_backward");
  c.bytes *= 1.5;
  const auto columns = static_cast<std::size_t>(shape.back());
  const Fill from_x = [=](Random& random, const Values&, Doubles& values) {
    for (double& x : values) x = random.normal();
    const Reals y = log_forward(values, columns);
    std::ranges::transform(y, values.begin(), &Real::value);
  };
  const Fill same = [](Random&, const Values& earlier, Doubles& values) { values = earlier["y"]; };
  c.arguments = {input("y", shape, from_x), input("dy", shape), hidden("x", shape, same),
                 output("dx", shape)};
  c.run = [](Backend& b, Stream& s, Tensors& t) {
    b.log_softmax_backward(s, t["y"], t["dy"], t["dx"]);
  };
  c.reference = [=](const Values& in, Results& out) {  // dx = dy - e^y Σ dy
    const Doubles &y = in["y"], &dy = in["dy"];
    for (std::size_t row = 0; row < y.size(); row += columns) {
      Real sum;
      for (std::size_t i = row; i < row + columns; ++i) sum += dy[i];
      for (std::size_t i = row; i < row + columns; ++i)
        out["dx"][i] = Real(dy[i]) - sum * Real(std::exp(y[i]));
    }
  };
  c.derivatives = {
      {"dx", "x", [=](const Values& in) { return dot(in["dy"], log_forward(in["x"], columns)); }}};
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
    cases.push_back(forward_case(shape, 1));
    cases.push_back(forward_case(shape, 30));
    cases.push_back(backward_case(shape));
    cases.push_back(log_forward_case(shape, 1));
    cases.push_back(log_forward_case(shape, 30));
    cases.push_back(log_backward_case(shape));
    if (shape.rank() != 2) continue;
    cases.push_back(argmax_case(shape, normal(), ""));
    cases.push_back(argmax_case(shape, labels(3), " many equals"));
  }
  OpCase extremes = forward_case({3, 4}, 1);
  extremes.label = "(3, 4) largest floats";
  extremes.arguments[0].fill =
      listed({3e38, -3e38, 0, 3e38, -3e38, -3e38, -3e38, -3e38, 1, 2, NAN, 3});
  extremes.reference = [](const Values&, Results& out) {
    const double expected[] = {0.5, 0, 0, 0.5, 0.25, 0.25, 0.25, 0.25, NAN, NAN, NAN, NAN};
    std::ranges::copy(expected, out["y"].begin());
  };
  cases.push_back(extremes);
  OpCase logarithms = log_forward_case({3, 4}, 1);
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
