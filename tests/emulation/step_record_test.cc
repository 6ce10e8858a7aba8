// The numbers of a step that stay on the device: what the host would have worked out, and updates
// that change nothing once a step has failed.
#include "kernels/core/step_record.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "kernels/cases/op_case.h"
#include "runtime/step/tree.h"
#include "tests/emulation/emulated_cases.h"

namespace lockstep {
namespace {

class StepRecordTest : public testing::Test {
 protected:
  Tensor on_device(const std::vector<double>& values) {
    Tensor host = backend_->empty_pinned({std::ssize(values)}, DType::kFloat64);
    std::ranges::copy(values, host.data<double>());
    Tensor tensor = backend_->empty(host.shape(), DType::kFloat64);
    backend_->copy(host, tensor);
    return tensor;
  }
  Tensor floats(std::int64_t count, float value) {
    Tensor tensor = backend_->empty({count}, DType::kFloat32);
    backend_->fill(*stream_, value, tensor);
    return tensor;
  }
  std::vector<double> random(std::size_t count) {
    std::uniform_real_distribution<double> values(0, 1);
    std::vector<double> result(count);
    for (double& value : result) value = values(random_);
    return result;
  }

  std::mt19937_64 random_{cases::test_seed()};
  std::unique_ptr<Backend> backend_ = cases::emulated_backend();
  std::unique_ptr<Stream> stream_ = backend_->make_stream(0);
};

TEST_F(StepRecordTest, AddsShardsUpAsTheHostDoes) {
  const auto record = make_step_record(*backend_, 4, 1);
  std::vector<double> losses, weights;
  for (std::int64_t shard = 0; shard < 3; ++shard) {
    const std::vector<double> sums = random(StepRecord::kSums);
    losses.push_back(0.5 * sums[0]);
    weights.push_back(sums[1]);
    record->put(*stream_, shard, on_device(sums), 0.5, 10);
  }
  record->put(*stream_, 3, {}, 1, 0);
  losses.push_back(0), weights.push_back(0);
  record->add_up(*stream_);
  Tensor y = floats(100, 0);
  const std::vector<TreeNode> nodes = {{floats(100, 3), 2}, {floats(100, 4), 2}};
  record->mean(*stream_, nodes, StepRecord::Total::kRows, y);
  const StepRecord::Outcome& outcome = record->read(*stream_);
  EXPECT_TRUE(outcome.open);
  EXPECT_EQ(outcome.total[0], tree_sum(losses));
  EXPECT_EQ(outcome.total[1], tree_sum(weights));
  EXPECT_EQ(outcome.total[2], 30);
  EXPECT_EQ(y.to_host().data<float>()[99], 7.0f / 30.0f);
}

TEST_F(StepRecordTest, ClipsByTheNormOfAnyNumberOfBlocks) {
  for (const std::size_t blocks : {1, 2, 3, 31, 1000, 1024, 1025, 2047, 2500}) {
    const auto record = make_step_record(*backend_, 1, static_cast<std::int64_t>(blocks));
    const std::vector<double> norms = random(blocks);
    Tensor there = record->norms();
    backend_->copy(on_device(norms), there);
    record->judge(*stream_, 0, static_cast<std::int64_t>(blocks));
    record->clip(*stream_, static_cast<std::int64_t>(blocks), 0.25);
    Tensor gradient = floats(3, 8);
    record->scale(*stream_, gradient);
    const StepRecord::Outcome& outcome = record->read(*stream_);
    const double norm = std::sqrt(tree_sum(norms)), factor = std::min(1.0, 0.25 / (norm + 1e-6));
    EXPECT_EQ(outcome.norm, norm) << blocks;
    EXPECT_EQ(outcome.factor, factor) << blocks;
    EXPECT_TRUE(outcome.open);
    EXPECT_EQ(gradient.to_host().data<float>()[2], 8 * static_cast<float>(factor));
  }
}

TEST_F(StepRecordTest, WhatIsNotFiniteClosesItForGood) {
  const double infinite = std::numeric_limits<double>::infinity();
  const auto change_weight = [&](StepRecord& record) {
    Tensor value = floats(5, 1), none;
    record.guard(*stream_, true);
    backend_->sgd(*stream_, {.lr = 0.5f}, floats(5, 1), value, none);
    record.guard(*stream_, false);
    return value.to_host().data<float>()[4];
  };
  const auto put = [&](StepRecord& record, double loss, double weight) {
    record.put(*stream_, 0, on_device({loss, weight, 0, 0, 0, 0}), 1, 1);
    record.add_up(*stream_);
  };
  for (const auto& [loss, weight] : {std::pair{infinite, 1.0}, {std::nan(""), 1.0}, {1.0, 0.0}}) {
    const auto record = make_step_record(*backend_, 1, 3);
    put(*record, 1, 1);
    EXPECT_EQ(change_weight(*record), 0.5f);
    put(*record, loss, weight);
    EXPECT_EQ(change_weight(*record), 1.0f);
    EXPECT_FALSE(record->read(*stream_).open);
    put(*record, 1, 1);
    EXPECT_EQ(change_weight(*record), 1.0f);
  }
  const auto record = make_step_record(*backend_, 1, 3);
  Tensor norms = record->norms();
  backend_->copy(on_device({1, 1, std::nan("")}), norms);
  record->judge(*stream_, 0, 2);
  EXPECT_TRUE(record->read(*stream_).open);
  record->judge(*stream_, 2, 3);
  EXPECT_EQ(change_weight(*record), 1.0f);
}

}  // namespace
}  // namespace lockstep
