// Buckets, segments, and what the reducer refuses.
#include "runtime/step/reducer.h"

#include <gtest/gtest.h>

#include "io/dataset/dataset.h"
#include "kernels/cpu/cpu_backend.h"
#include "runtime/config/config.h"
#include "runtime/step/optimizer.h"

namespace lockstep {
namespace {

ParamSpec spec(std::int64_t elements, bool decay = true, ParamKind kind = ParamKind::kTrainable) {
  ParamSpec result;
  result.file_shape = Shape{elements};
  result.weight_decay = decay;
  result.kind = kind;
  result.average_momentum = kind == ParamKind::kStatistic ? 0.1f : 0.0f;
  return result;
}

TEST(Buckets, CoverTheBufferFromTheEndInWholeBlocks) {
  for (const std::int64_t blocks : {1, 2, 7, 64, 65, 1000}) {
    const std::int64_t elements = blocks * kBlockElements;
    for (const std::int64_t size : {std::int64_t{1}, kBlockElements, 10 * kBlockElements + 1}) {
      std::int64_t end = elements;
      for (const ElementRange& bucket : make_buckets(elements, size)) {
        EXPECT_EQ(bucket.end, end);
        EXPECT_EQ(bucket.begin % kBlockElements, 0);
        EXPECT_TRUE(bucket.count() >= size || bucket.count() == elements);
        end = bucket.begin;
      }
      EXPECT_EQ(end, 0);
    }
  }
  EXPECT_TRUE(make_buckets(0, 1).empty());
}

TEST(Segments, CoverTheBufferAndJoinNeighboursOfOneTreatment) {
  ParamSet params;
  params.add("fc1.weight", spec(1000));
  params.add("fc1.bias", spec(10, false));
  params.add("bn.running_mean", spec(10, true, ParamKind::kStatistic));
  params.add("fc2.weight", spec(5000));
  params.place();

  const auto covered = [&](const std::vector<Segment>& segments) {
    std::int64_t end = 0;
    for (const Segment& segment : segments) {
      EXPECT_EQ(segment.range.begin, end);
      end = segment.range.end;
    }
    return end;
  };
  const std::vector<Segment> uniform = make_segments(params, {});
  EXPECT_EQ(covered(uniform), params.elements());
  ASSERT_EQ(uniform.size(), 2u);
  EXPECT_EQ(uniform[0].range.end, params.trainable_end());
  EXPECT_EQ(uniform[1].treatment.kind, ParamKind::kStatistic);
  EXPECT_EQ(uniform[1].treatment.average_momentum, 0.1f);

  OptimizerConfig spares_biases;
  spares_biases.decay_norms_and_biases = false;
  spares_biases.weight_decay = 0.5;
  const std::vector<Segment> selective = make_segments(params, spares_biases);
  EXPECT_EQ(covered(selective), params.elements());
  ASSERT_EQ(selective.size(), 4u);
  EXPECT_TRUE(selective[0].treatment.decays);
  EXPECT_FALSE(selective[1].treatment.decays);
  EXPECT_TRUE(selective[2].treatment.decays);
  EXPECT_EQ(selective[0].treatment.weight_decay, 0.5);
  EXPECT_EQ(selective[1].treatment.weight_decay, 0.0);
  const Param* bias = params.find("fc1.bias");
  EXPECT_LE(selective[1].range.begin, bias->offset);
  EXPECT_GE(selective[1].range.end, bias->offset + bias->elements);
}

OptimizerConfig with_groups(const std::string& groups) {
  return parse_config(
             "[model]\nnetwork = \"mlp\"\n[optimizer]\nweight_decay = 0.25\ngroups = " + groups,
             "g.toml")
      .optimizer;
}

TEST(Segments, TheFirstGroupThatFitsCounts) {
  ParamSet params;
  for (const char* name : {"layer1.0.weight", "layer1.1.weight", "layer2.0.weight", "fc.weight"})
    params.add(name, spec(64));
  params.add("fc.bias", spec(64, false));
  params.add("layer1.running_mean", spec(10, true, ParamKind::kStatistic));
  params.place();
  const std::vector<Segment> segments = make_segments(
      params,
      with_groups("[{match = \"layer1.0\", lr_scale = 0.01},\n"
                  "{match = [\"layer[12].*\", \"*.bias\"], lr_scale = 0.1, weight_decay = 0}]"));
  ASSERT_EQ(segments.size(), 5u);
  const auto expect = [&](std::size_t i, std::int64_t begin, double lr_scale, double decay) {
    EXPECT_EQ(segments[i].range.begin, begin) << i;
    EXPECT_EQ(segments[i].treatment.lr_scale, lr_scale) << i;
    EXPECT_EQ(segments[i].treatment.weight_decay, decay) << i;
  };
  expect(0, 0, 0.01, 0.25);
  expect(1, 64, 0.1, 0.0);  // layer1.1 and layer2.0 are one segment
  expect(2, 192, 1.0, 0.25);
  expect(3, 256, 0.1, 0.0);
  EXPECT_EQ(segments[4].treatment.kind, ParamKind::kStatistic);
  EXPECT_EQ(segments[4].range.end, params.elements());
}

TEST(Segments, APatternThatFitsNothingNamesWhatIsNear) {
  ParamSet params;
  params.add("layer1.0.weight", spec(64));
  params.add("fc.running_mean", spec(64, true, ParamKind::kStatistic));
  params.add("head.weight", spec(64));
  params.place();
  const auto message = [&](const std::string& groups) -> std::string {
    try {
      make_segments(params, with_groups(groups));
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message("[{match = \"head\", lr_scale = 2},\n{match = \"layr1.*\", lr_scale = 2}]"),
            "g.toml:6: optimizer.groups[1].match: no parameter of the network fits 'layr1.*' (did "
            "you mean 'layer1.*'?); it has layer1, head");
  EXPECT_NE(message("[{match = \"fc\", lr_scale = 2}]").find("fits 'fc'"), std::string::npos);
}

TEST(ParamSet, StatisticsBeginOnABlockOfTheirOwn) {
  ParamSet params;
  params.add("bn.running_mean", spec(3, true, ParamKind::kStatistic));
  params.add("weight", spec(70));
  params.add("bias", spec(5));
  params.place();
  EXPECT_EQ(params.find("weight")->offset, 0);
  EXPECT_EQ(params.find("bias")->offset, 128);  // the next multiple of 64 elements
  EXPECT_EQ(params.find("bn.running_mean")->offset, kBlockElements);
  EXPECT_EQ(params.trainable_end(), kBlockElements);
  EXPECT_EQ(params.elements(), 2 * kBlockElements);
  EXPECT_THROW(params.add("bias", spec(5)), Error);
}

TEST(ParamSet, WhatIsFrozenLiesBehindTheGradients) {
  ParamSet params;
  for (const char* name : {"a.weight", "a.bias", "b.weight", "fc.weight"})
    params.add(name, spec(5000))->trains = std::string(name) == "fc.weight";
  params.add("a.running_mean", spec(7, true, ParamKind::kStatistic))->trains = false;
  params.add("fc.running_mean", spec(7, true, ParamKind::kStatistic));
  params.place();
  EXPECT_EQ(params.find("fc.weight")->offset, 0);
  EXPECT_EQ(params.trainable_end(), 2 * kBlockElements);
  EXPECT_EQ(params.find("fc.running_mean")->offset, 2 * kBlockElements);
  EXPECT_EQ(params.trained_elements(), 3 * kBlockElements);
  EXPECT_EQ(params.find("a.weight")->offset, 3 * kBlockElements);
  EXPECT_EQ(params.elements() % kBlockElements, 0);
  EXPECT_GE(params.elements(), params.find("a.running_mean")->offset + 7);
  // One layer's frozen gradients lie apart, those of two layers in one place.
  const Tensor scratch = host_tensor({params.scratch_elements()}, DType::kFloat32);
  params.bind_frozen_gradients(scratch);
  const float* const weight = params.find("a.weight")->grad.data<float>();
  EXPECT_GE(params.find("a.bias")->grad.data<float>(), weight + 5000);
  EXPECT_EQ(params.find("b.weight")->grad.data<float>(), weight);
  // Segments are those of what trains, and count its steps from the first one.
  const std::vector<Segment> segments = make_segments(params, {}, {{"fc.weight", 12}});
  ASSERT_EQ(segments.size(), 2u);
  EXPECT_EQ(segments[0].treatment.first_step, 12);
  EXPECT_EQ(segments[1].range.end, params.trained_elements());
}

struct OneExchange final : GradientTarget {
  explicit OneExchange(std::unique_ptr<Exchange>& exchange) : exchange(exchange) {}
  float* node(int slot) override { return exchange->node(0, slot); }
  void publish(int bucket) override { exchange->publish(0, bucket); }
  std::unique_ptr<Exchange>& exchange;
};

class ReducerTest : public ::testing::Test {
 protected:
  ReducerTest() {
    params_.add("a", spec(100));
    params_.add("b", spec(200));
    params_.place();
    buckets_ = make_buckets(params_.elements(), kBlockElements);
    const ExchangePlan plan{params_.elements(), buckets_, 1, 0, 10};
    exchange_ = communicator_->make_exchange(plan, ShardPlan(4, {1}), *backend_);
    exchange_->begin(0, 0);
    reducer_ = std::make_unique<Reducer>(params_, buckets_, ShardRange{0, 4}, target_, *backend_,
                                         *stream_);
    reducer_->begin_step();
  }
  void report(const std::string& name, float value) {
    Param& param = *params_.find(name);
    for (float& element : param.grad.span<float>()) element = value;
    reducer_->ready(param);
  }

  std::unique_ptr<Backend> backend_ = make_cpu_backend(best_isa());
  std::unique_ptr<Stream> stream_ = backend_->make_stream(0);
  std::unique_ptr<Communicator> communicator_ = make_self_communicator();
  ParamSet params_;
  std::vector<ElementRange> buckets_;
  std::unique_ptr<Exchange> exchange_;
  OneExchange target_{exchange_};
  std::unique_ptr<Reducer> reducer_;
};

TEST_F(ReducerTest, AddsShardsUpInTheFixedTree) {
  const float leaves[] = {1e8f, 1.0f, -1e8f, 0.25f};  // any other order gives another sum
  for (std::int64_t shard = 0; shard < 4; ++shard) {
    reducer_->begin_shard(shard);
    report("b", leaves[shard]);
    report("a", 2 * leaves[shard]);
    reducer_->end_shard();
  }
  const float expected = (leaves[0] + leaves[1]) + (leaves[2] + leaves[3]);
  const float* sum = exchange_->node(0, 0);
  EXPECT_EQ(sum[params_.find("b")->offset], expected);
  EXPECT_EQ(sum[params_.find("a")->offset + 99], 2 * expected);
}

TEST_F(ReducerTest, EmptyShardsAddZero) {
  reducer_->begin_shard(0);
  report("a", 3);
  report("b", 4);
  reducer_->end_shard();
  for (std::int64_t shard = 1; shard < 4; ++shard) reducer_->zero_shard(shard);
  EXPECT_EQ(exchange_->node(0, 0)[params_.find("b")->offset], 4.0f);
}

TEST_F(ReducerTest, EveryParameterIsReportedExactlyOnce) {
  reducer_->begin_shard(0);
  report("a", 1);
  try {
    report("a", 1);
    FAIL() << "reported twice";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("'a' was reported twice"), std::string::npos);
  }
  try {
    reducer_->end_shard();
    FAIL() << "'b' is missing";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("'b'"), std::string::npos);
  }
}

}  // namespace
}  // namespace lockstep
