#include "runtime/run/scores.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace lockstep {

namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

double ratio(std::int64_t part, std::int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0.0;
}

// Fills everything of `result` that follows from its confusions.
void score_confusion(ClassScores& result) {
  const std::size_t count = result.classes.size();
  std::int64_t occurring = 0;
  for (std::size_t c = 0; c < count; ++c) {
    ClassScore& score = result.classes[c];
    for (std::size_t other = 0; other < count; ++other) {
      score.rows += result.confusion[c * count + other];
      score.predicted += result.confusion[other * count + c];
    }
    const std::int64_t right = result.confusion[c * count + c];
    score.precision = ratio(right, score.predicted);
    score.recall = ratio(right, score.rows);
    score.f1 = ratio(2 * right, score.rows + score.predicted);
    if (score.rows + score.predicted == 0) continue;
    ++occurring;
    result.macro_precision += score.precision;
    result.macro_recall += score.recall;
    result.macro_f1 += score.f1;
  }
  for (double* sum : {&result.macro_precision, &result.macro_recall, &result.macro_f1})
    *sum = occurring > 0 ? *sum / static_cast<double>(occurring) : kUndefined;
}

void score_curves(ClassScores& result, std::span<const float> scores, std::size_t columns,
                  const std::vector<std::size_t>& rows, std::span<const std::int64_t> labels) {
  std::vector<float> column(rows.size());
  std::vector<bool> positive(rows.size());
  double sum = 0;
  int defined = 0;
  for (std::size_t c = 0; c < result.classes.size(); ++c) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const float* const row = scores.data() + rows[i] * columns;
      // One score tells class 1 from class 0: the other way round it is its negative.
      column[i] = columns > 1 ? row[c] : c == 1 ? row[0] : -row[0];
      positive[i] = labels[rows[i]] == static_cast<std::int64_t>(c);
    }
    const double area = roc_auc(column, positive);
    result.classes[c].roc_auc = area;
    if (std::isnan(area)) continue;
    sum += area;
    ++defined;
  }
  if (result.classes.size() == 2)
    result.roc_auc = result.classes[1].roc_auc;
  else
    result.roc_auc = defined > 0 ? sum / defined : kUndefined;
}

}  // namespace

std::vector<ConfusedPair> ClassScores::most_confused(std::size_t most) const {
  std::vector<ConfusedPair> pairs;
  const auto count = static_cast<std::int64_t>(classes.size());
  for (std::int64_t is = 0; is < count; ++is)
    for (std::int64_t taken_for = 0; taken_for < count; ++taken_for) {
      const std::int64_t rows = confusion[static_cast<std::size_t>(is * count + taken_for)];
      if (is != taken_for && rows > 0) pairs.push_back({is, taken_for, rows});
    }
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const ConfusedPair& a, const ConfusedPair& b) { return a.rows > b.rows; });
  if (pairs.size() > most) pairs.resize(most);
  return pairs;
}

ClassScores score_classes(const Tensor& predicted, const Tensor& scores, const Tensor& labels) {
  const auto columns = static_cast<std::size_t>(scores.shape().back());
  const std::size_t count = columns == 1 ? 2 : columns;
  const std::span<const std::int64_t> label = labels.span<std::int64_t>();
  ClassScores result;
  result.classes.resize(count);
  result.confusion.resize(count * count);
  std::vector<std::size_t> rows;  // that have a label
  for (std::size_t row = 0; row < label.size(); ++row) {
    if (label[row] < 0) continue;
    rows.push_back(row);
    ++result.confusion[static_cast<std::size_t>(label[row]) * count +
                       static_cast<std::size_t>(predicted.data<std::int64_t>()[row])];
  }
  score_confusion(result);
  score_curves(result, scores.span<float>(), columns, rows, label);
  return result;
}

double roc_auc(std::span<const float> scores, const std::vector<bool>& positive) {
  for (const float score : scores)
    if (std::isnan(score)) return kUndefined;
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return scores[a] < scores[b]; });
  // Twice the pairs (positive, negative) that are in the right order: 2 a pair, 1 a tie.
  std::int64_t positives = 0, negatives = 0, pairs = 0;
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin;
    std::int64_t equal_positives = 0, equal_negatives = 0;
    for (; end < order.size() && scores[order[end]] == scores[order[begin]]; ++end)
      ++(positive[order[end]] ? equal_positives : equal_negatives);
    pairs += equal_positives * (2 * negatives + equal_negatives);
    positives += equal_positives;
    negatives += equal_negatives;
    begin = end;
  }
  if (positives == 0 || negatives == 0) return kUndefined;
  return static_cast<double>(pairs) /
         (2.0 * static_cast<double>(positives) * static_cast<double>(negatives));
}

double r_squared(const Tensor& predictions, const Tensor& targets) {
  const std::int64_t rows = targets.rows(), columns = targets.shape().back();
  double total = 0;
  for (std::int64_t c = 0; c < columns; ++c) {
    double mean = 0, errors = 0, deviations = 0;
    for (std::int64_t row = 0; row < rows; ++row)
      mean += static_cast<double>(targets.data<float>()[row * columns + c]);
    mean /= static_cast<double>(rows);
    for (std::int64_t row = 0; row < rows; ++row) {
      const double y = targets.data<float>()[row * columns + c];
      const double error = y - predictions.data<float>()[row * columns + c];
      errors += error * error;
      deviations += (y - mean) * (y - mean);
    }
    if (deviations > 0)
      total += 1.0 - errors / deviations;
    else
      total += errors > 0 ? 0.0 : 1.0;
  }
  return total / static_cast<double>(columns);
}

}  // namespace lockstep
