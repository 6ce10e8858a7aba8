// Attention within each sample: softmax(q kᵀ / √width) v of every head, the masks of causality and
// padding, and its gradients.
#include <algorithm>

#include "kernels/cases/op_list.h"

namespace lockstep::cases {

namespace {

struct AttentionShape {
  std::int64_t rows, tokens, heads, head_width;
  bool causal = false;
  std::int64_t padding = -1, kinds = 1;  // ids are 0 to kinds - 1

  AttentionGeometry geometry() const {
    return {.tokens = tokens,
            .heads = heads,
            .head_width = head_width,
            .causal = causal,
            .padding = padding};
  }
  Argument ids() const { return input("ids", {rows, tokens}, labels(kinds), DType::kInt64); }
  bool hidden_key(const Doubles& ids, std::int64_t row, std::int64_t from) const {
    return padding >= 0 &&
           ids[static_cast<std::size_t>(row * tokens + from)] == static_cast<double>(padding);
  }
  Shape qkv() const { return {rows, tokens, 3 * heads * head_width}; }
  Shape probabilities() const { return {rows, heads, tokens, tokens}; }
  Shape y() const { return {rows, tokens, heads * head_width}; }
  double factor() const { return 1 / std::sqrt(static_cast<double>(head_width)); }
  std::string label() const {
    return fmt::format("{}x{} tokens, {} heads of {}{}{}", rows, tokens, heads, head_width,
                       causal ? ", causal" : "",
                       padding >= 0 ? fmt::format(", one id of {} padding", kinds) : "");
  }

  // part 0: queries, 1: keys, 2: values
  std::size_t in_qkv(std::int64_t row, std::int64_t head, int part, std::int64_t token,
                     std::int64_t c) const {
    return static_cast<std::size_t>(((row * tokens + token) * 3 + part) * heads * head_width +
                                    head * head_width + c);
  }
  std::size_t in_p(std::int64_t row, std::int64_t head, std::int64_t to, std::int64_t from) const {
    return static_cast<std::size_t>(((row * heads + head) * tokens + to) * tokens + from);
  }
  std::size_t in_y(std::int64_t row, std::int64_t head, std::int64_t token, std::int64_t c) const {
    return static_cast<std::size_t>((row * tokens + token) * heads * head_width +
                                    head * head_width + c);
  }
};

template <typename Visit>
void for_each_query(const AttentionShape& shape, Visit visit) {
  for (std::int64_t row = 0; row < shape.rows; ++row)
    for (std::int64_t head = 0; head < shape.heads; ++head)
      for (std::int64_t token = 0; token < shape.tokens; ++token)
        visit(row, head, token, shape.causal ? token + 1 : shape.tokens);
}

// A probability's relative error is the error of the scores.
Reals probabilities_of(const AttentionShape& shape, const Doubles& qkv, const Doubles& ids) {
  Reals p(static_cast<std::size_t>(shape.probabilities().elements()));
  for_each_query(shape, [&](auto row, auto head, auto to, auto seen) {
    Reals scores(static_cast<std::size_t>(seen));
    double largest = -INFINITY, magnitude = 0, sum = 0;
    for (std::int64_t from = 0; from < seen; ++from) {
      if (shape.hidden_key(ids, row, from)) continue;
      Real& score = scores[static_cast<std::size_t>(from)];
      for (std::int64_t c = 0; c < shape.head_width; ++c)
        score += Real(qkv[shape.in_qkv(row, head, 0, to, c)] * shape.factor()) *
                 qkv[shape.in_qkv(row, head, 1, from, c)];
      largest = std::max(largest, score.value);
      magnitude = std::max(magnitude, score.magnitude);
    }
    const auto term = [&](std::int64_t from) {
      if (shape.hidden_key(ids, row, from)) return 0.0;
      return std::exp(scores[static_cast<std::size_t>(from)].value - largest);
    };
    for (std::int64_t from = 0; from < seen; ++from) sum += term(from);
    for (std::int64_t from = 0; from < seen && sum > 0; ++from) {
      const double value = term(from) / sum;
      p[shape.in_p(row, head, to, from)] = {value, value * (1 + magnitude)};
    }
  });
  return p;
}

Reals output_of(const AttentionShape& shape, const Reals& p, const Doubles& qkv) {
  Reals y(static_cast<std::size_t>(shape.y().elements()));
  for_each_query(shape, [&](auto row, auto head, auto to, auto seen) {
    for (std::int64_t from = 0; from < seen; ++from)
      for (std::int64_t c = 0; c < shape.head_width; ++c)
        y[shape.in_y(row, head, to, c)] +=
            p[shape.in_p(row, head, to, from)] * qkv[shape.in_qkv(row, head, 2, from, c)];
  });
  return y;
}

OpCase common(const AttentionShape& shape, const std::string& operation, int products) {
  OpCase c;
  c.operation = operation;
  c.label = shape.label();
  c.tolerance = 16;
  const double scores = static_cast<double>(shape.probabilities().elements());
  c.flops = 2.0 * products * scores * static_cast<double>(shape.head_width);
  c.use = c.flops > 2e6 ? Use::kBoth : Use::kTest;
  return c;
}

OpCase forward_case(const AttentionShape& shape) {
  OpCase c = common(shape, "attention_forward", 2);
  c.arguments = {input("qkv", shape.qkv()), shape.ids(),
                 output("probabilities", shape.probabilities()), output("y", shape.y())};
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.attention_forward(s, shape.geometry(), t["qkv"], t["ids"], t["probabilities"], t["y"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    out["probabilities"] = probabilities_of(shape, in["qkv"], in["ids"]);
    out["y"] = output_of(shape, out["probabilities"], in["qkv"]);
  };
  return c;
}

void backward(const AttentionShape& shape, const Values& in, Reals& dqkv) {
  const Doubles &qkv = in["qkv"], &p = in["probabilities"], &dy = in["dy"];
  for_each_query(shape, [&](auto row, auto head, auto to, auto seen) {
    Reals dp(static_cast<std::size_t>(seen));
    Real product;
    for (std::int64_t from = 0; from < seen; ++from) {
      const double probability = p[shape.in_p(row, head, to, from)];
      Real& slope = dp[static_cast<std::size_t>(from)];
      for (std::int64_t c = 0; c < shape.head_width; ++c) {
        const double d = dy[shape.in_y(row, head, to, c)];
        slope += Real(d) * qkv[shape.in_qkv(row, head, 2, from, c)];
        dqkv[shape.in_qkv(row, head, 2, from, c)] += Real(probability) * d;
      }
      product += Real(probability) * slope;
    }
    for (std::int64_t from = 0; from < seen; ++from) {
      const Real ds = Real(p[shape.in_p(row, head, to, from)] * shape.factor()) *
                      (dp[static_cast<std::size_t>(from)] - product);
      for (std::int64_t c = 0; c < shape.head_width; ++c) {
        const std::size_t q = shape.in_qkv(row, head, 0, to, c);
        const std::size_t k = shape.in_qkv(row, head, 1, from, c);
        dqkv[q] += ds * qkv[k];
        dqkv[k] += ds * qkv[q];
      }
    }
  });
}

OpCase backward_case(const AttentionShape& shape) {
  OpCase c = common(shape, "attention_backward", 5);
  const Fill probabilities = [=](Random&, const Values& earlier, Doubles& values) {
    std::ranges::transform(probabilities_of(shape, earlier["qkv"], earlier["ids"]), values.begin(),
                           &Real::value);
  };
  c.arguments = {input("qkv", shape.qkv()), shape.ids(),
                 input("probabilities", shape.probabilities(), probabilities),
                 input("dy", shape.y()), output("dqkv", shape.qkv())};
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.attention_backward(s, shape.geometry(), t["qkv"], t["probabilities"], t["dy"], t["dqkv"]);
  };
  c.reference = [=](const Values& in, Results& out) { backward(shape, in, out["dqkv"]); };
  c.derivatives = {{"dqkv", "qkv", [=](const Values& in) {
                      const Reals p = probabilities_of(shape, in["qkv"], in["ids"]);
                      return dot(in["dy"], output_of(shape, p, in["qkv"]));
                    }}};
  return c;
}

}  // namespace

OpCases attention_cases() {
  OpCases cases;
  for (const AttentionShape& shape : {AttentionShape{1, 1, 1, 1},
                                      {0, 3, 2, 4},
                                      {2, 5, 2, 3},
                                      {2, 7, 3, 5, true},
                                      {1, 33, 1, 17},
                                      {1, 17, 2, 33, true},
                                      {1, 130, 1, 4, true},
                                      {3, 6, 2, 4, false, 1, 3},
                                      {4, 19, 1, 5, true, 0, 2},
                                      {2, 3, 2, 2, false, 0, 1},
                                      {8, 64, 4, 32},
                                      {8, 64, 4, 32, true}}) {
    cases.push_back(forward_case(shape));
    cases.push_back(backward_case(shape));
  }
  return cases;
}

}  // namespace lockstep::cases
