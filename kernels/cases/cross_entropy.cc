// Softmax cross-entropy from logits as PyTorch's CrossEntropyLoss defines it. With
// l_c = -log softmax(x)_c, label smoothing e and class weights w, the loss of a row is
//   class y:            (1 - e) · w_y · l_y + e / C · Σ w_c · l_c     row weight w_y
//   probabilities p:    Σ w_c · ((1 - e) · p_c + e / C) · l_c         row weight 1
// and both are multiplied by the sample's weight. Rows with the ignored class count nowhere.
#include <algorithm>

#include "kernels/cases/op_list.h"

namespace lockstep::cases {

namespace {

struct Variant {
  std::int64_t rows, classes;
  bool probabilities = false, sample_weights = false, class_weights = false;
  float smoothing = 0;
  double ignored = 0;  // share of rows
  std::int64_t ignore_label = -1;
  double spread = 1;
  bool gradient = true;

  std::string label() const {
    return fmt::format("{}x{}{}{}{} smoothing {} ignored {} as {} spread {}{}", rows, classes,
                       probabilities ? " probabilities" : "", sample_weights ? " weighted" : "",
                       class_weights ? " class weights" : "", smoothing, ignored, ignore_label,
                       spread, gradient ? "" : " evaluation");
  }
};

// The weights of every l_c of one row, and the row's weight in sums[1].
struct RowTerms {
  Doubles factor;
  double weight = 0;
};

RowTerms terms_of(const Variant& v, const Values& in, std::size_t row) {
  const auto classes = static_cast<std::size_t>(v.classes);
  const double sample = v.sample_weights ? in["sample_weight"][row] : 1;
  const double even = v.smoothing / static_cast<double>(v.classes);
  const auto class_weight = [&](std::size_t c) {
    return v.class_weights ? in["class_weight"][c] : 1;
  };
  RowTerms terms{Doubles(classes), 0};
  if (v.probabilities) {
    terms.weight = sample;
    for (std::size_t c = 0; c < classes; ++c)
      terms.factor[c] =
          sample * class_weight(c) * ((1.0 - v.smoothing) * in["target"][row * classes + c] + even);
    return terms;
  }
  const double label = in["target"][row];
  if (label == static_cast<double>(v.ignore_label)) return terms;
  const auto y = static_cast<std::size_t>(label);
  terms.weight = sample * class_weight(y);
  for (std::size_t c = 0; c < classes; ++c) terms.factor[c] = sample * class_weight(c) * even;
  terms.factor[y] += sample * class_weight(y) * (1.0 - v.smoothing);
  return terms;
}

struct Loss {
  Reals gradient;
  Real sum, weight;
};

Loss loss_of(const Variant& v, const Values& in) {
  const Doubles& x = in["logits"];
  const auto classes = static_cast<std::size_t>(v.classes);
  Loss loss{Reals(x.size()), 0.0, 0.0};
  for (std::size_t row = 0; row < static_cast<std::size_t>(v.rows); ++row) {
    const double* logits = x.data() + row * classes;
    const double largest = *std::max_element(logits, logits + classes);
    double sum = 0, factors = 0;
    for (std::size_t c = 0; c < classes; ++c) sum += std::exp(logits[c] - largest);
    const RowTerms terms = terms_of(v, in, row);
    loss.weight += terms.weight;
    for (std::size_t c = 0; c < classes; ++c) {
      const double l = std::log(sum) + largest - logits[c];
      loss.sum += Real(terms.factor[c] * l,
                       std::fabs(terms.factor[c]) * (std::log(sum) + largest - logits[c] + 1));
      factors += terms.factor[c];
    }
    for (std::size_t c = 0; c < classes; ++c) {
      const double p = std::exp(logits[c] - largest) / sum;
      const double scale = 1 + std::fabs(logits[c] - largest) / 8;  // rounding of x - max
      loss.gradient[row * classes + c] =
          Real(factors * p, std::fabs(factors) * p * scale) - Real(terms.factor[c]);
    }
  }
  return loss;
}

OpCase loss_case(const Variant& v) {
  OpCase c;
  c.operation = "softmax_cross_entropy";
  c.label = v.label();
  c.tolerance = 24;
  c.bytes = 8.0 * static_cast<double>(v.rows * v.classes);
  c.use = v.rows * v.classes > 50'000 ? Use::kBoth : Use::kTest;
  const Shape shape = {v.rows, v.classes};
  const auto columns = static_cast<std::size_t>(v.classes);
  const Fill distributions = [=](Random& random, const Values&, Doubles& values) {
    for (double& p : values) p = random.uniform(0, 1);
    for (std::size_t row = 0; row < values.size(); row += columns) {
      double sum = 0;
      for (std::size_t i = row; i < row + columns; ++i) sum += values[i];
      for (std::size_t i = row; i < row + columns; ++i) values[i] /= sum;
    }
  };
  const Fill classes = [=](Random& random, const Values& earlier, Doubles& values) {
    labels(v.classes, v.ignored)(random, earlier, values);
    std::ranges::replace(values, -1.0, static_cast<double>(v.ignore_label));
  };
  c.arguments = {input("logits", shape, normal(v.spread)),
                 v.probabilities ? input("target", shape, distributions)
                                 : input("target", {v.rows}, classes, DType::kInt64),
                 sums()};
  if (v.sample_weights) c.arguments.push_back(input("sample_weight", {v.rows}, uniform(0, 3)));
  if (v.class_weights) c.arguments.push_back(input("class_weight", {v.classes}, uniform(0.1, 3)));
  if (v.gradient) c.arguments.push_back(output("dlogits", shape));
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    Tensor none;
    b.softmax_cross_entropy(s, {.label_smoothing = v.smoothing, .ignore_label = v.ignore_label},
                            t["logits"], t["target"], v.sample_weights ? t["sample_weight"] : none,
                            v.class_weights ? t["class_weight"] : none,
                            v.gradient ? t["dlogits"] : none, t["sums"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    const Loss loss = loss_of(v, in);
    if (v.gradient) out["dlogits"] = loss.gradient;
    out["sums"] = {loss.sum, loss.weight};
  };
  if (v.gradient)
    c.derivatives = {
        {"dlogits", "logits", [=](const Values& in) { return loss_of(v, in).sum.value; }}};
  return c;
}

}  // namespace

OpCases cross_entropy_cases() {
  OpCases cases;
  for (const auto& [rows, classes] : {std::pair{12, 10},
                                      {1, 2},
                                      {0, 3},
                                      {7, 13},
                                      {17, 33},
                                      {3, 100},
                                      {13, 7},
                                      {5, 1000},
                                      {256, 1000}}) {
    cases.push_back(loss_case({.rows = rows, .classes = classes}));
    cases.push_back(loss_case({.rows = rows, .classes = classes, .probabilities = true}));
  }
  for (const bool probabilities : {false, true})
    for (const bool sample_weights : {false, true})
      for (const bool class_weights : {false, true})
        for (const float smoothing : {0.0f, 0.1f})
          cases.push_back(loss_case({.rows = 13,
                                     .classes = 17,
                                     .probabilities = probabilities,
                                     .sample_weights = sample_weights,
                                     .class_weights = class_weights,
                                     .smoothing = smoothing,
                                     .ignored = probabilities ? 0 : 0.3}));
  cases.push_back(loss_case({.rows = 31, .classes = 5, .ignored = 1}));  // no row counts
  cases.push_back(loss_case({.rows = 31, .classes = 5, .ignored = 0.4, .ignore_label = 255}));
  cases.push_back(loss_case({.rows = 9, .classes = 31, .smoothing = 0.2f, .spread = 50}));
  cases.push_back(loss_case({.rows = 9, .classes = 31, .spread = 1e4}));
  cases.push_back(loss_case({.rows = 33, .classes = 10, .ignored = 0.2, .gradient = false}));
  return cases;
}

}  // namespace lockstep::cases
