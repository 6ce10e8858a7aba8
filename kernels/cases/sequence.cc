// What sequences need beside their layers' own operations: the first two axes exchanged, one row
// added to all rows, the sum of all rows, and the mean over the tokens that are no padding.
#include <algorithm>

#include "kernels/cases/op_list.h"

namespace lockstep::cases {

namespace {

std::size_t row_elements(const Shape& shape) {
  return static_cast<std::size_t>(shape.without_rows().elements());
}

OpCase common(const Shape& shape, const std::string& operation) {
  OpCase c;
  c.operation = operation;
  c.label = shape.to_string();
  c.bytes = 8.0 * static_cast<double>(shape.elements());
  c.use = shape.elements() > 50'000 ? Use::kBoth : Use::kTest;
  return c;
}

OpCase swap_case(const Shape& shape) {
  OpCase c = common(shape, "swap_rows");
  const Shape rest = shape.without_rows().without_rows();
  c.arguments = {input("x", shape), output("y", rest.with_rows(shape[0]).with_rows(shape[1]))};
  c.run = [](Backend& b, Stream& s, Tensors& t) { b.swap_rows(s, t["x"], t["y"]); };
  c.reference = [=](const Values& in, Results& out) {
    const auto outer = static_cast<std::size_t>(shape[0]);
    const auto inner = static_cast<std::size_t>(shape[1]);
    const auto length = static_cast<std::size_t>(rest.elements());
    for (std::size_t i = 0; i < in["x"].size(); ++i) {
      const std::size_t a = i / (inner * length), b = i / length % inner;
      out["y"][(b * outer + a) * length + i % length] = in["x"][i];
    }
  };
  return c;
}

OpCase add_row_case(const Shape& shape) {
  OpCase c = common(shape, "add_row");
  c.tolerance = 1;
  c.arguments = {input("x", shape), input("row", shape.without_rows()), output("y", shape)};
  c.run = [](Backend& b, Stream& s, Tensors& t) { b.add_row(s, t["x"], t["row"], t["y"]); };
  c.reference = [=](const Values& in, Results& out) {
    for (std::size_t i = 0; i < in["x"].size(); ++i)
      out["y"][i] = Real(in["x"][i]) + in["row"][i % row_elements(shape)];
  };
  c.in_place = {{"y", "x"}};
  return c;
}

OpCase sum_rows_case(const Shape& shape) {
  OpCase c = common(shape, "sum_rows");
  c.tolerance = 16;
  c.bytes = 4.0 * static_cast<double>(shape.elements() + shape.without_rows().elements());
  c.arguments = {input("x", shape), hidden("row", shape.without_rows()),
                 output("sum", shape.without_rows())};
  c.run = [](Backend& b, Stream& s, Tensors& t) { b.sum_rows(s, t["x"], t["sum"]); };
  c.reference = [=](const Values& in, Results& out) {
    for (std::size_t i = 0; i < in["x"].size(); ++i)
      out["sum"][i % row_elements(shape)] += in["x"][i];
  };
  // The gradient of `row`, where x is what arrives behind add_row.
  c.derivatives = {{"sum", "row", [=](const Values& in) {
                      double objective = 0;
                      for (std::size_t i = 0; i < in["x"].size(); ++i)
                        objective += in["x"][i] * in["row"][i % row_elements(shape)];
                      return objective;
                    }}};
  return c;
}

// The id 0 is padding; of one kind of id, all are.
struct MeanShape {
  std::int64_t rows, tokens, width, kinds;
  Shape x() const { return {rows, tokens, width}; }
  Shape y() const { return {rows, width}; }
};

constexpr std::int64_t kPadding = 0;

// visit(element of the tokens, element of the means, 1 / tokens that count)
template <typename Visit>
void for_each_counted(const MeanShape& shape, const Doubles& ids, Visit visit) {
  for (std::int64_t n = 0; n < shape.rows; ++n) {
    const auto first = ids.begin() + n * shape.tokens;
    const auto padded = std::count(first, first + shape.tokens, double{kPadding});
    for (std::int64_t t = 0; t < shape.tokens; ++t)
      for (std::int64_t c = 0; c < shape.width && first[t] != kPadding; ++c)
        visit(static_cast<std::size_t>((n * shape.tokens + t) * shape.width + c),
              static_cast<std::size_t>(n * shape.width + c),
              1.0 / static_cast<double>(shape.tokens - padded));
  }
}

Reals mean_of(const MeanShape& shape, const Values& in) {
  Reals y(static_cast<std::size_t>(shape.y().elements()));
  for_each_counted(shape, in["ids"], [&](std::size_t xi, std::size_t yi, double share) {
    y[yi] += Real(in["x"][xi]) * share;
  });
  return y;
}

OpCase mean_case(const MeanShape& shape, bool forward) {
  OpCase c = common(shape.x(), forward ? "mean_tokens_forward" : "mean_tokens_backward");
  c.label += fmt::format(", one id of {} padding", shape.kinds);
  c.tolerance = 16;
  const Argument ids = input("ids", {shape.rows, shape.tokens}, labels(shape.kinds), DType::kInt64);
  if (forward) {
    c.arguments = {ids, input("x", shape.x()), output("y", shape.y())};
    c.run = [](Backend& b, Stream& s, Tensors& t) {
      b.mean_tokens_forward(s, kPadding, t["ids"], t["x"], t["y"]);
    };
    c.reference = [=](const Values& in, Results& out) { out["y"] = mean_of(shape, in); };
    return c;
  }
  c.arguments = {ids, hidden("x", shape.x()), input("dy", shape.y()), output("dx", shape.x())};
  c.run = [](Backend& b, Stream& s, Tensors& t) {
    b.mean_tokens_backward(s, kPadding, t["ids"], t["dy"], t["dx"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    for_each_counted(shape, in["ids"], [&](std::size_t xi, std::size_t yi, double share) {
      out["dx"][xi] = Real(in["dy"][yi]) * share;
    });
  };
  c.derivatives = {
      {"dx", "x", [=](const Values& in) { return dot(in["dy"], mean_of(shape, in)); }}};
  return c;
}

}  // namespace

OpCases sequence_cases() {
  OpCases cases;
  for (const Shape& shape :
       {Shape{1, 1}, {0, 4, 3}, {3, 5}, {4, 1, 7}, {5, 3, 17}, {2, 6, 3, 5}, {64, 64, 128}}) {
    cases.push_back(swap_case(shape));
    cases.push_back(add_row_case(shape));
    cases.push_back(sum_rows_case(shape));
  }
  for (const MeanShape& shape :
       {MeanShape{1, 1, 1, 2}, {0, 3, 2, 2}, {5, 7, 3, 3}, {2, 4, 17, 1}, {32, 64, 128, 4}}) {
    cases.push_back(mean_case(shape, true));
    cases.push_back(mean_case(shape, false));
  }
  return cases;
}

}  // namespace lockstep::cases
