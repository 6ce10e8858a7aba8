// Losses: which outputs and targets fit, sums and metrics by hand, gradients by differences.
#include "runtime/step/loss.h"

#include "tests/error_of.h"
#include "tests/models/rig.h"

namespace lockstep {
namespace {

LossConfig config_of(LossKind kind) {
  LossConfig config;
  config.kind = kind;
  return config;
}

Tensor floats(const Shape& shape, std::vector<float> values) {
  Tensor tensor = host_tensor(shape, DType::kFloat32);
  std::ranges::copy(values, tensor.span<float>().begin());
  return tensor;
}

Tensor labels(std::vector<std::int64_t> values) {
  Tensor tensor = host_tensor({static_cast<std::int64_t>(values.size())}, DType::kInt64);
  std::ranges::copy(values, tensor.span<std::int64_t>().begin());
  return tensor;
}

// A loss with its sums, run on a stream.
struct LossRig {
  LossRig(const LossConfig& config, std::int64_t top_k, std::int64_t outputs, TargetKind target,
          std::int64_t columns)
      : backend(make_cpu_backend(best_isa())),
        stream(backend->make_stream(0)),
        loss(make_loss(config, top_k)),
        sums(host_tensor({kLossSums}, DType::kFloat64)),
        metric_sums(host_tensor({kMetricSums}, DType::kFloat64)) {
    loss->build(*backend, 8, {outputs}, target, columns);
    std::ranges::fill(sums.span<double>(), std::nan(""));
    std::ranges::fill(metric_sums.span<double>(), 0.0);
  }

  Tensor run(const Tensor& output, const Tensor& target, const Tensor& weight = {},
             bool gradient = true) {
    const Pass pass{.backend = *backend, .stream = *stream, .sample_ids = {}, .on_ready = {}};
    Tensor result;
    stream->submit(
        [&] { result = loss->run(pass, output, target, weight, gradient, sums, metric_sums); });
    stream->synchronize();
    for (const double sum : metric_sums.span<double>()) EXPECT_TRUE(std::isfinite(sum));
    return result;
  }

  std::vector<double> metrics(double rows) const {
    return loss->metrics(metric_sums.span<double>(), rows);
  }

  std::unique_ptr<Backend> backend;
  std::unique_ptr<Stream> stream;
  std::unique_ptr<Loss> loss;
  Tensor sums, metric_sums;
};

TEST(Losses, CrossEntropySumsAndAccuracies) {
  LossRig rig(config_of(LossKind::kCrossEntropy), 2, 3, TargetKind::kClass, 1);
  const Tensor logits = floats({4, 3}, {3, 2, 1, 1, 3, 2, 2, 1, 3, 0, 0, 0});
  const Tensor gradient = rig.run(logits, labels({0, 2, 1, -1}));
  const double all = std::log(std::exp(1.0) + std::exp(2.0) + std::exp(3.0));
  EXPECT_NEAR(rig.sums.data<double>()[0], 3 * all - 3 - 2 - 1, 1e-5);
  EXPECT_EQ(rig.sums.data<double>()[1], 3);  // the label -1 is ignored
  EXPECT_EQ(gradient.shape(), logits.shape());
  EXPECT_NEAR(gradient.data<float>()[0], std::exp(3 - all) - 1, 1e-6);
  EXPECT_EQ(gradient.data<float>()[10], 0);
  EXPECT_EQ(rig.loss->metric_names(), (std::vector<std::string>{"accuracy", "top_2_accuracy"}));
  const std::vector<double> metrics = rig.metrics(4);
  EXPECT_DOUBLE_EQ(metrics[0], 1.0 / 3);
  EXPECT_DOUBLE_EQ(metrics[1], 2.0 / 3);
  EXPECT_FALSE(rig.run(logits, labels({0, 2, 1, -1}), {}, false).defined());
}

TEST(Losses, CrossEntropyOfProbabilitiesCountsTheLikeliestClass) {
  LossRig rig(config_of(LossKind::kCrossEntropy), 0, 3, TargetKind::kValues, 3);
  const Tensor logits = floats({2, 3}, {0, 5, 0, 0, 5, 0});
  rig.run(logits, floats({2, 3}, {0.25f, 0.5f, 0.25f, 0.125f, 0.375f, 0.5f}));
  const double all = std::log(2 + std::exp(5.0));
  EXPECT_NEAR(rig.sums.data<double>()[0], 2 * all - 5 * (0.5 + 0.375), 1e-5);
  EXPECT_EQ(rig.loss->metric_names(), std::vector<std::string>{"accuracy"});
  EXPECT_EQ(rig.metrics(2), std::vector<double>{0.5});
}

TEST(Losses, WeightsOfClassesAndSamplesMultiply) {
  LossConfig config = config_of(LossKind::kCrossEntropy);
  config.class_weights = {1, 4};
  LossRig rig(config, 0, 2, TargetKind::kClass, 1);
  rig.run(floats({2, 2}, {0, 0, 0, 0}), labels({0, 1}), floats({2}, {0.5f, 3}));
  EXPECT_DOUBLE_EQ(rig.sums.data<double>()[1], 0.5 + 12);
  EXPECT_NEAR(rig.sums.data<double>()[0], 12.5 * std::log(2.0), 1e-5);
}

TEST(Losses, BinaryCrossEntropyOfClassesAndValues) {
  LossRig classes(config_of(LossKind::kBinaryCrossEntropy), 0, 1, TargetKind::kClass, 1);
  classes.run(floats({3, 1}, {2, -1, 3}), labels({1, 1, 0}));
  const auto softplus = [](double z) { return std::log1p(std::exp(z)); };
  EXPECT_NEAR(classes.sums.data<double>()[0], softplus(-2) + softplus(1) + softplus(3), 1e-5);
  EXPECT_EQ(classes.loss->metric_names(), std::vector<std::string>{"accuracy"});
  EXPECT_DOUBLE_EQ(classes.metrics(3)[0], 1.0 / 3);

  LossRig values(config_of(LossKind::kBinaryCrossEntropy), 0, 2, TargetKind::kValues, 2);
  values.run(floats({1, 2}, {2, -1}), floats({1, 2}, {1, 0}));
  EXPECT_NEAR(values.sums.data<double>()[0], (softplus(-2) + softplus(-1)) / 2, 1e-6);
  EXPECT_TRUE(values.loss->metric_names().empty());
  EXPECT_TRUE(values.metrics(1).empty());
}

TEST(Losses, MeanSquaredErrorWithRmseAndMae) {
  LossRig rig(config_of(LossKind::kMse), 0, 2, TargetKind::kValues, 2);
  const Tensor gradient = rig.run(floats({2, 2}, {1, 2, 3, 4}), floats({2, 2}, {0, 4, 3, 1}));
  EXPECT_DOUBLE_EQ(rig.sums.data<double>()[0], (1 + 4) / 2.0 + 9 / 2.0);
  EXPECT_DOUBLE_EQ(rig.sums.data<double>()[1], 2);
  EXPECT_EQ(list_of(gradient), (std::vector<float>{1, -2, 0, 3}));
  EXPECT_EQ(rig.loss->metric_names(), (std::vector<std::string>{"rmse", "mae"}));
  EXPECT_DOUBLE_EQ(rig.metrics(2)[0], std::sqrt(7.0 / 2));
  EXPECT_DOUBLE_EQ(rig.metrics(2)[1], (1.5 + 1.5) / 2);
}

TEST(Losses, GradientsMatchDifferencesOfTheSum) {
  Random random;
  SCOPED_TRACE(fmt::format("seed {}", random.seed()));
  LossConfig smoothed = config_of(LossKind::kCrossEntropy);
  smoothed.label_smoothing = 0.1;
  smoothed.class_weights = {1, 0.5, 2};
  LossConfig halved = config_of(LossKind::kMse);
  halved.scale = 0.5;
  LossConfig narrow = config_of(LossKind::kHuber);
  narrow.delta = 0.3;
  struct Case {
    LossConfig config;
    TargetKind kind;
    Tensor target;
    std::int64_t outputs;
  };
  const std::vector<Case> cases = {
      {smoothed, TargetKind::kClass, labels({2, 0, -1, 1}), 3},
      {smoothed, TargetKind::kValues, random.uniform({4, 3}, 0, 0.3f), 3},
      {config_of(LossKind::kBinaryCrossEntropy), TargetKind::kClass, labels({1, 0, 0, 1}), 1},
      {config_of(LossKind::kBinaryCrossEntropy), TargetKind::kValues, random.uniform({4, 3}, 0, 1),
       3},
      {config_of(LossKind::kMse), TargetKind::kValues, random.uniform({4, 3}), 3},
      {halved, TargetKind::kValues, random.uniform({4, 3}), 3},
      {config_of(LossKind::kL1), TargetKind::kValues, random.uniform({4, 3}, 1.2f, 2), 3},
      {narrow, TargetKind::kValues, random.uniform({4, 3}), 3},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(fmt::format("case {}", i));
    const Case& one = cases[i];
    LossRig rig(one.config, 0, one.outputs, one.kind, one.outputs);
    Tensor output = random.uniform({4, one.outputs});
    const Tensor weight = random.uniform({4}, 0.5f, 2);
    const std::vector<float> gradient = list_of(rig.run(output, one.target, weight));
    for (std::size_t e = 0; e < gradient.size(); ++e) {
      float& place = output.data<float>()[e];
      const float value = place;
      place = value + 0.01f;
      const double high = place;
      rig.run(output, one.target, weight, false);
      const double above = rig.sums.data<double>()[0];
      place = value - 0.01f;
      const double low = place;
      rig.run(output, one.target, weight, false);
      const double below = rig.sums.data<double>()[0];
      place = value;
      // A difference across the bend of Huber's loss is within delta's share of the slope.
      EXPECT_NEAR(gradient[e], rig.loss->scale() * (above - below) / (high - low), 4e-3) << e;
    }
  }
}

TEST(Losses, ScaleIsAFactorOfTheGradient) {
  LossConfig config = config_of(LossKind::kMse);
  config.scale = 0.5;
  LossRig rig(config, 0, 2, TargetKind::kValues, 2);
  const Tensor gradient = rig.run(floats({2, 2}, {1, 2, 3, 4}), floats({2, 2}, {0, 4, 3, 1}));
  EXPECT_EQ(list_of(gradient), (std::vector<float>{0.5f, -1, 0, 1.5f}));
  EXPECT_EQ(rig.loss->scale(), 0.5);
}

TEST(Losses, AbsoluteAndHubersError) {
  LossRig absolute(config_of(LossKind::kL1), 0, 2, TargetKind::kValues, 2);
  const Tensor x = floats({2, 2}, {1, 2, 3, 4}), t = floats({2, 2}, {0.5f, 4, 3, 1});
  EXPECT_EQ(list_of(absolute.run(x, t)), (std::vector<float>{0.5f, -0.5f, 0, 0.5f}));
  EXPECT_DOUBLE_EQ(absolute.sums.data<double>()[0], (0.5 + 2 + 0 + 3) / 2);
  EXPECT_EQ(absolute.loss->metric_names(), (std::vector<std::string>{"rmse", "mae"}));
  LossRig huber(config_of(LossKind::kHuber), 0, 2, TargetKind::kValues, 2);
  EXPECT_EQ(list_of(huber.run(x, t)), (std::vector<float>{0.25f, -0.5f, 0, 0.5f}));
  EXPECT_DOUBLE_EQ(huber.sums.data<double>()[0], (0.125 + 1.5 + 0 + 2.5) / 2);
}

TEST(Losses, HingeOfSeveralClassesAndOfTwo) {
  LossRig many(config_of(LossKind::kHinge), 0, 3, TargetKind::kClass, 1);
  const Tensor gradient =
      many.run(floats({3, 3}, {3, 2.5f, 1, 0, 0, 0, 5, 1, 1}), labels({0, 1, -1}));
  EXPECT_NEAR(many.sums.data<double>()[0], (0.5 + 2) / 3, 1e-6);
  EXPECT_EQ(many.sums.data<double>()[1], 2);  // the label -1 is ignored
  EXPECT_FLOAT_EQ(gradient.data<float>()[0], -1.0f / 3);
  EXPECT_FLOAT_EQ(gradient.data<float>()[4], -2.0f / 3);
  EXPECT_DOUBLE_EQ(many.metrics(3)[0], 0.5);
  LossRig two(config_of(LossKind::kHinge), 0, 1, TargetKind::kClass, 1);
  EXPECT_EQ(list_of(two.run(floats({3, 1}, {2, -0.5f, 0.25f}), labels({1, 1, 0}))),
            (std::vector<float>{0, -1, 1}));
  EXPECT_DOUBLE_EQ(two.sums.data<double>()[0], 0 + 1.5 + 1.25);
}

TEST(Losses, OutputsFollowFromTheData) {
  EXPECT_EQ(network_outputs(LossKind::kHinge, TargetKind::kClass, 1, 2), 1);
  EXPECT_EQ(network_outputs(LossKind::kHinge, TargetKind::kClass, 1, 5), 5);
  EXPECT_EQ(network_outputs(LossKind::kHuber, TargetKind::kValues, 2, 0), 2);
  EXPECT_EQ(network_outputs(LossKind::kCrossEntropy, TargetKind::kClass, 1, 10), 10);
  EXPECT_EQ(network_outputs(LossKind::kCrossEntropy, TargetKind::kValues, 4, 0), 4);
  EXPECT_EQ(network_outputs(LossKind::kBinaryCrossEntropy, TargetKind::kClass, 1, 2), 1);
  EXPECT_EQ(network_outputs(LossKind::kBinaryCrossEntropy, TargetKind::kValues, 3, 0), 3);
  EXPECT_EQ(network_outputs(LossKind::kMse, TargetKind::kValues, 2, 0), 2);
}

TEST(Losses, MessagesSayWhatDoesNotFit) {
  const auto outputs = [](LossKind kind, TargetKind target, std::int64_t columns,
                          std::int64_t classes) {
    return error_of([&] { network_outputs(kind, target, columns, classes); });
  };
  const auto build = [](LossConfig config, std::int64_t top_k, const Shape& output,
                        TargetKind target, std::int64_t columns) {
    return error_of([&] {
      const auto backend = make_cpu_backend(best_isa());
      make_loss(config, top_k)->build(*backend, 4, output, target, columns);
    });
  };
  const auto expect = [](const std::string& message, const char* part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect(outputs(LossKind::kMse, TargetKind::kClass, 1, 3), "cross_entropy");
  expect(outputs(LossKind::kHuber, TargetKind::kClass, 1, 3), "loss 'huber' takes float32");
  expect(outputs(LossKind::kHinge, TargetKind::kValues, 1, 0), "class labels");
  expect(outputs(LossKind::kMse, TargetKind::kNone, 0, 0), "data.y");
  expect(outputs(LossKind::kBinaryCrossEntropy, TargetKind::kClass, 1, 3), "2 classes");
  expect(outputs(LossKind::kCrossEntropy, TargetKind::kValues, 1, 0), "mse");
  LossConfig config = config_of(LossKind::kCrossEntropy);
  expect(build(config, 0, {2, 2, 3}, TargetKind::kClass, 1), "(2, 2, 3)");
  expect(build(config, 0, {3}, TargetKind::kValues, 4), "4 columns");
  expect(build(config, 5, {3}, TargetKind::kClass, 1), "top_k = 5");
  config.class_weights = {1, 2};
  expect(build(config, 0, {3}, TargetKind::kClass, 1), "class_weights");
  expect(build(config_of(LossKind::kMse), 0, {3}, TargetKind::kValues, 2), "2 columns");
  expect(build(config_of(LossKind::kBinaryCrossEntropy), 0, {2}, TargetKind::kClass, 1),
         "2 outputs");
}

}  // namespace
}  // namespace lockstep
