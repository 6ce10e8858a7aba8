// Scores of classes and values against loops over all pairs, and at their edges.
#include "runtime/run/scores.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "io/dataset/dataset.h"

namespace lockstep {
namespace {

Tensor floats(const Shape& shape, const std::vector<float>& values) {
  const Tensor tensor = host_tensor(shape, DType::kFloat32);
  std::copy(values.begin(), values.end(), tensor.data<float>());
  return tensor;
}

Tensor labels(const std::vector<std::int64_t>& values) {
  const Tensor tensor = host_tensor({static_cast<std::int64_t>(values.size())}, DType::kInt64);
  std::copy(values.begin(), values.end(), tensor.data<std::int64_t>());
  return tensor;
}

TEST(RocAuc, CountsPairsAndHalvesTies) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (int repeat = 0; repeat < 20; ++repeat) {
    std::vector<float> scores(40);
    std::vector<bool> positive(40);
    for (std::size_t i = 0; i < scores.size(); ++i) {
      scores[i] = static_cast<float>(random() % 7);
      positive[i] = i < 2 ? i == 0 : random() % 2 == 0;
    }
    double pairs = 0, right = 0;
    for (std::size_t i = 0; i < scores.size(); ++i)
      for (std::size_t j = 0; j < scores.size(); ++j) {
        if (!positive[i] || positive[j]) continue;
        ++pairs;
        right += scores[i] > scores[j] ? 1.0 : scores[i] == scores[j] ? 0.5 : 0.0;
      }
    EXPECT_EQ(roc_auc(scores, positive), right / pairs);
  }
}

TEST(RocAuc, IsUndefinedWithoutBothKindsAndWithNaN) {
  const std::vector<float> scores = {1, 2};
  EXPECT_TRUE(std::isnan(roc_auc(scores, {true, true})));
  EXPECT_TRUE(std::isnan(roc_auc(scores, {false, false})));
  EXPECT_TRUE(std::isnan(roc_auc(std::vector<float>{1, NAN}, {true, false})));
}

TEST(ClassScores, LeavesOutRowsWithoutALabelAndClassesThatDoNotOccur) {
  const Tensor outputs =
      floats({4, 3}, {.7f, .2f, .1f, .6f, .3f, .1f, .2f, .7f, .1f, .1f, .8f, .1f});
  const ClassScores scores = score_classes(labels({0, 0, 1, 1}), outputs, labels({0, 1, 1, -1}));
  EXPECT_EQ(scores.confusion, (std::vector<std::int64_t>{1, 0, 0, 1, 1, 0, 0, 0, 0}));
  EXPECT_EQ(scores.classes[0].precision, 0.5);
  EXPECT_EQ(scores.classes[0].recall, 1.0);
  EXPECT_EQ(scores.classes[1].precision, 1.0);
  EXPECT_EQ(scores.classes[1].recall, 0.5);
  EXPECT_EQ(scores.classes[2].f1, 0.0);
  EXPECT_DOUBLE_EQ(scores.macro_f1, 2.0 / 3.0);
  EXPECT_TRUE(std::isnan(scores.classes[2].roc_auc));
  EXPECT_EQ(scores.roc_auc, 1.0);
  const std::vector<ConfusedPair> pairs = scores.most_confused(5);
  ASSERT_EQ(pairs.size(), 1u);
  EXPECT_EQ(pairs[0].is, 1);
  EXPECT_EQ(pairs[0].taken_for, 0);
}

TEST(ClassScores, OneScoreTellsTwoClassesApart) {
  const Tensor outputs = floats({4, 1}, {.2f, .6f, .4f, .9f});
  const ClassScores scores = score_classes(labels({0, 1, 0, 1}), outputs, labels({0, 0, 1, 1}));
  EXPECT_EQ(scores.roc_auc, 0.75);
  EXPECT_EQ(scores.classes[0].roc_auc, 0.75);
}

TEST(RSquared, OfConstantColumns) {
  const Tensor targets = floats({2, 2}, {1, 5, 3, 5});
  EXPECT_EQ(r_squared(floats({2, 2}, {1, 5, 3, 5}), targets), 1.0);
  EXPECT_EQ(r_squared(floats({2, 2}, {1, 5, 3, 6}), targets), 0.5);
  EXPECT_EQ(r_squared(floats({2, 2}, {2, 5, 2, 5}), targets), 0.5);
}

}  // namespace
}  // namespace lockstep
