// Embedding tables: y[i] = table[ids[i]], and the sums of gradients that a table receives.
#include "kernels/cases/op_list.h"

namespace lockstep::cases {

namespace {

struct EmbeddingShape {
  Shape ids;  // (N) or (N, T)
  std::int64_t table, width, padding = -1;

  Shape tokens() const {
    return ids.rank() == 1 ? Shape{ids[0], width} : Shape{ids[0], ids[1], width};
  }
  std::string label() const {
    return fmt::format("{} of {}x{}{}", ids.to_string(), table, width,
                       padding < 0 ? "" : fmt::format(" padding {}", padding));
  }
};

// visit(element of the tokens, element of the table)
template <typename Visit>
void for_each_element(const EmbeddingShape& shape, const Doubles& ids, Visit visit) {
  const auto width = static_cast<std::size_t>(shape.width);
  for (std::size_t i = 0; i < ids.size(); ++i)
    for (std::size_t c = 0; c < width; ++c)
      visit(i * width + c, static_cast<std::size_t>(ids[i]) * width + c);
}

Reals forward(const EmbeddingShape& shape, const Values& in) {
  Reals y(static_cast<std::size_t>(shape.tokens().elements()));
  for_each_element(shape, in["ids"],
                   [&](std::size_t yi, std::size_t ti) { y[yi] = in["table"][ti]; });
  return y;
}

OpCase common(const EmbeddingShape& shape, const std::string& operation) {
  OpCase c;
  c.operation = operation;
  c.label = shape.label();
  c.bytes = 8.0 * static_cast<double>(shape.tokens().elements());
  c.use = shape.tokens().elements() > 100'000 ? Use::kBoth : Use::kTest;
  return c;
}

OpCase forward_case(const EmbeddingShape& shape) {
  OpCase c = common(shape, "embedding_forward");
  c.arguments = {input("samples", {shape.ids[0]}, labels(1000), DType::kInt64),
                 input("ids", shape.ids, labels(shape.table), DType::kInt64),
                 input("table", {shape.table, shape.width}), output("y", shape.tokens())};
  c.run = [](Backend& b, Stream& s, Tensors& t) {
    b.embedding_forward(s, t["samples"], t["ids"], t["table"], t["y"]);
  };
  c.reference = [=](const Values& in, Results& out) { out["y"] = forward(shape, in); };
  return c;
}

OpCase backward_case(const EmbeddingShape& shape) {
  OpCase c = common(shape, "embedding_backward");
  c.tolerance = 16;
  c.arguments = {input("ids", shape.ids, labels(shape.table), DType::kInt64),
                 input("dy", shape.tokens()), hidden("table", {shape.table, shape.width}),
                 output("dtable", {shape.table, shape.width})};
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.embedding_backward(s, shape.padding, t["ids"], t["dy"], t["dtable"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    const auto padding = static_cast<std::size_t>(shape.padding);
    for_each_element(shape, in["ids"], [&](std::size_t yi, std::size_t ti) {
      if (ti / static_cast<std::size_t>(shape.width) != padding) out["dtable"][ti] += in["dy"][yi];
    });
  };
  if (shape.padding < 0)
    c.derivatives = {
        {"dtable", "table", [=](const Values& in) { return dot(in["dy"], forward(shape, in)); }}};
  return c;
}

}  // namespace

OpCases embedding_cases() {
  OpCases cases;
  for (const EmbeddingShape& shape : {EmbeddingShape{{1}, 1, 1},
                                      {{0, 3}, 5, 4},
                                      {{9}, 4, 7},
                                      {{3, 5}, 11, 17},
                                      {{4, 6}, 3, 33, 2},
                                      {{2, 7}, 2, 16, 0},
                                      {{32, 64}, 1000, 128}}) {
    cases.push_back(forward_case(shape));
    cases.push_back(backward_case(shape));
  }
  return cases;
}

}  // namespace lockstep::cases
