// Counts of right answers and sums of regression errors.
#include "kernels/cases/op_list.h"

namespace lockstep::cases {

namespace {

// A class is among the k largest if fewer than k classes rank before it: those with a larger
// logit, and those with an equal one and a lower index.
OpCase top_k_case(std::int64_t rows, std::int64_t classes, std::int64_t k, const Fill& fill,
                  const std::string& what = "", std::int64_t ignore_label = -1) {
  OpCase c;
  c.operation = "top_k_correct";
  c.label = fmt::format("{}x{} k {} ignoring {}{}", rows, classes, k, ignore_label, what);
  const Fill targets = labels(std::max<std::int64_t>(classes, 2), 0.2);
  c.arguments = {input("logits", {rows, classes}, fill),
                 input("target", {rows}, targets, DType::kInt64), sums()};
  if (ignore_label != -1) c.arguments[1].fill = labels(classes);
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.top_k_correct(s, k, ignore_label, t["logits"], t["target"], t["sums"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    const auto columns = static_cast<std::size_t>(classes);
    for (std::size_t row = 0; row < static_cast<std::size_t>(rows); ++row) {
      const double label = in["target"][row];
      if (label == static_cast<double>(ignore_label)) continue;
      out["sums"][1] += 1.0;
      const double* logits = in["logits"].data() + row * columns;
      if (classes == 1) {
        out["sums"][0] += (logits[0] > 0) == (label == 1) ? 1.0 : 0.0;
        continue;
      }
      const auto y = static_cast<std::size_t>(label);
      std::int64_t before = 0;
      for (std::size_t i = 0; i < columns; ++i)
        before += logits[i] > logits[y] || (logits[i] == logits[y] && i < y) ? 1 : 0;
      out["sums"][0] += before < k ? 1.0 : 0.0;
    }
  };
  return c;
}

OpCase regression_case(std::int64_t rows, std::int64_t columns) {
  OpCase c;
  c.operation = "regression_errors";
  c.label = fmt::format("{}x{}", rows, columns);
  c.tolerance = 16;
  const Shape shape = {rows, columns};
  c.arguments = {input("prediction", shape), input("target", shape), sums()};
  c.run = [](Backend& b, Stream& s, Tensors& t) {
    b.regression_errors(s, t["prediction"], t["target"], t["sums"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    for (std::size_t i = 0; i < in["target"].size(); ++i) {
      const Real error = Real(in["prediction"][i]) - Real(in["target"][i]);
      const double size = std::fabs(error.value), share = 1 / static_cast<double>(columns);
      out["sums"][0] += Real(size * size, size * error.magnitude) * share;
      out["sums"][1] += Real(size, error.magnitude) * share;
    }
  };
  return c;
}

}  // namespace

OpCases metric_cases() {
  OpCases cases;
  for (const std::int64_t k : {1, 3, 5}) {
    cases.push_back(top_k_case(100, 10, k, normal()));
    cases.push_back(top_k_case(33, 100, k, labels(4), " many equals"));
    cases.push_back(top_k_case(17, 5, k, normal()));
    cases.push_back(top_k_case(0, 7, k, normal()));
  }
  cases.push_back(top_k_case(31, 1, 1, normal()));
  cases.push_back(top_k_case(8, 1, 1, listed({0, 1, -1}), " zero is class 0"));
  cases.push_back(top_k_case(33, 7, 2, normal(), "", 3));
  for (const auto& [rows, columns] :
       {std::pair{100, 1}, {1, 1}, {0, 4}, {13, 7}, {7, 33}, {31, 100}})
    cases.push_back(regression_case(rows, columns));
  return cases;
}

}  // namespace lockstep::cases
