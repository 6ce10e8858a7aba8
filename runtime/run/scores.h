// Figures of a whole split that no sum over shards gives: precision, recall, F1 and ROC AUC of
// classes, R² of values. All are computed from every row in file order, on one thread, so they
// depend on no number of ranks. Definitions are those of scikit-learn.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/core/tensor.h"

namespace lockstep {

struct ClassScore {
  std::int64_t rows = 0, predicted = 0;  // that are of the class; that are said to be
  double precision = 0, recall = 0;      // 0 where nothing was predicted, or there are no rows
  double f1 = 0;                         // 2 · true positives / (rows + predicted); 0 for 0 / 0
  double roc_auc = 0;                    // of this class against the rest; NaN where undefined
};

struct ConfusedPair {
  std::int64_t is = 0, taken_for = 0, rows = 0;
};

struct ClassScores {
  std::vector<ClassScore> classes;
  std::vector<std::int64_t> confusion;  // (true, predicted), row-major
  // Means over the classes that occur as a label or as a prediction.
  double macro_precision = 0, macro_recall = 0, macro_f1 = 0;
  // Of class 1 where there are two classes; else the mean over all classes for which it is defined
  // ("one against the rest"). NaN where it is for none.
  double roc_auc = 0;

  std::vector<ConfusedPair> most_confused(std::size_t most) const;  // the most frequent first
};

// predicted: int64 (N). scores: float32 (N, C), the larger the likelier; (N, 1) for two classes, of
// which it tells how likely class 1 is. labels: int64 (N); rows with a negative one are left out.
ClassScores score_classes(const Tensor& predicted, const Tensor& scores, const Tensor& labels);

// The probability that a positive row has a larger score than a negative one; a tie counts one
// half, which makes it the area under the curve drawn with straight lines (Mann and Whitney 1947).
// Exact but for its last division: pairs are counted in integers. NaN where either kind is missing.
double roc_auc(std::span<const float> scores, const std::vector<bool>& positive);

// 1 - Σ(y - p)² / Σ(y - mean y)², the mean over the columns of float32 (N, K). A constant column
// counts as 1 where it is predicted without error, else as 0.
double r_squared(const Tensor& predictions, const Tensor& targets);

}  // namespace lockstep
