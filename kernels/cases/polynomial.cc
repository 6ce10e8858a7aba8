// Products over the last axis, with zeros among the factors, and quadratic functions.
#include "kernels/cases/op_list.h"

namespace lockstep::cases {

namespace {

Shape without_last(const Shape& shape) {
  return Shape(shape.sizes().first(static_cast<std::size_t>(shape.rank()) - 1));
}

// The product of one row, or of all its factors but one.
Real product(const Doubles& x, std::size_t row, std::size_t columns, std::size_t but) {
  Real result = 1.0;
  for (std::size_t c = 0; c < columns; ++c)
    if (c != but) result = result * Real(x[row * columns + c]);
  return result;
}

Reals products(const Doubles& x, std::size_t columns) {
  Reals y(x.size() / columns);
  for (std::size_t row = 0; row < y.size(); ++row) y[row] = product(x, row, columns, columns);
  return y;
}

std::vector<OpCase> product_pair(const Shape& shape, const Fill& fill, const std::string& what) {
  const auto columns = static_cast<std::size_t>(shape.back());
  OpCase forward;
  forward.operation = "product_forward";
  forward.label = shape.to_string() + what;
  forward.tolerance = 2.0 * static_cast<double>(columns);
  forward.bytes = 4.0 * static_cast<double>(shape.elements());
  forward.use = shape.elements() > 50'000 ? Use::kBoth : Use::kTest;
  forward.arguments = {input("x", shape, fill), output("y", without_last(shape))};
  forward.run = [](Backend& b, Stream& s, Tensors& t) { b.product_forward(s, t["x"], t["y"]); };
  forward.reference = [=](const Values& in, Results& out) {
    out["y"] = products(in["x"], columns);
  };

  OpCase backward = forward;
  backward.operation = "product_backward";
  backward.bytes *= 2;
  backward.arguments = {input("x", shape, fill), input("dy", without_last(shape)),
                        output("dx", shape)};
  backward.run = [](Backend& b, Stream& s, Tensors& t) {
    b.product_backward(s, t["x"], t["dy"], t["dx"]);
  };
  backward.reference = [=](const Values& in, Results& out) {
    for (std::size_t row = 0; row < in["dy"].size(); ++row)
      for (std::size_t c = 0; c < columns; ++c)
        out["dx"][row * columns + c] = Real(in["dy"][row]) * product(in["x"], row, columns, c);
  };
  backward.derivatives = {
      {"dx", "x", [=](const Values& in) { return dot(in["dy"], products(in["x"], columns)); }}};
  return {forward, backward};
}

Real quadratic(const Values& in, std::size_t i) {
  const Real x = in["x"][i];
  return Real(in["a"][0]) * x * x + Real(in["b"][0]) * x + Real(in["c"][0]);
}

std::vector<OpCase> quadratic_pair(const Shape& shape) {
  OpCase forward;
  forward.operation = "quadratic_forward";
  forward.label = shape.to_string();
  forward.tolerance = 4;
  forward.bytes = 8.0 * static_cast<double>(shape.elements());
  forward.use = shape.elements() > 50'000 ? Use::kBoth : Use::kTest;
  forward.arguments = {input("x", shape), input("a", {1}), input("b", {1}), input("c", {1}),
                       output("y", shape)};
  forward.run = [](Backend& b, Stream& s, Tensors& t) {
    b.quadratic_forward(s, t["x"], t["a"], t["b"], t["c"], t["y"]);
  };
  forward.reference = [](const Values& in, Results& out) {
    for (std::size_t i = 0; i < in["x"].size(); ++i) out["y"][i] = quadratic(in, i);
  };

  OpCase backward = forward;
  backward.operation = "quadratic_backward";
  backward.bytes *= 1.5;
  backward.arguments = {input("x", shape), input("dy", shape), input("a", {1}),
                        input("b", {1}),   input("c", {1}),    output("da", {1}),
                        output("db", {1}), output("dc", {1}),  output("dx", shape)};
  backward.run = [](Backend& b, Stream& s, Tensors& t) {
    b.quadratic_backward(s, t["x"], t["dy"], t["a"], t["b"], t["da"], t["db"], t["dc"], t["dx"]);
  };
  backward.reference = [](const Values& in, Results& out) {
    out["da"][0] = out["db"][0] = out["dc"][0] = 0.0;
    for (std::size_t i = 0; i < in["x"].size(); ++i) {
      const Real x = in["x"][i], dy = in["dy"][i];
      out["da"][0] += dy * x * x;
      out["db"][0] += dy * x;
      out["dc"][0] += dy;
      out["dx"][i] = dy * (Real(2 * in["a"][0]) * x + Real(in["b"][0]));
    }
  };
  const auto objective = [](const Values& in) {
    double sum = 0;
    for (std::size_t i = 0; i < in["x"].size(); ++i) sum += in["dy"][i] * quadratic(in, i).value;
    return sum;
  };
  for (const char* name : {"a", "b", "c", "x"})
    backward.derivatives.push_back({std::string("d") + name, name, objective});
  return {forward, backward};
}

}  // namespace

OpCases polynomial_cases() {
  OpCases cases;
  const auto add = [&](std::vector<OpCase> pair) {
    cases.insert(cases.end(), pair.begin(), pair.end());
  };
  for (const Shape& shape : {Shape{4, 2}, {1, 1}, {0, 3}, {7, 5}, {3, 4, 3}, {30'000, 3}})
    add(product_pair(shape, normal(), ""));
  add(product_pair({4, 3}, listed({0, 2, 3, 0, 0, 5, 2, 0, 7, 0, 0, 0}), " zeros"));
  for (const Shape& shape : {Shape{5, 1}, {1, 1}, {0, 2}, {7, 3}, {60'000, 1}})
    add(quadratic_pair(shape));
  return cases;
}

}  // namespace lockstep::cases
