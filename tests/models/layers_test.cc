// What the layers promise beyond their gradients: memory that they share, packed weights that
// follow the weights, statistics, dropout's mask, names, and messages.
#include "models/layers/activation.h"
#include "models/layers/batch_norm.h"
#include "models/layers/conv2d.h"
#include "models/layers/dropout.h"
#include "models/layers/flatten.h"
#include "models/layers/linear.h"
#include "models/layers/pool.h"
#include "models/layers/residual.h"
#include "models/layers/sequential.h"
#include "tests/error_of.h"
#include "tests/models/rig.h"

namespace lockstep {
namespace {

TEST(Layers, ActivationsWorkInPlaceWhereTheyMay) {
  Random random;
  SCOPED_TRACE(fmt::format("seed {}", random.seed()));
  for (const Activation activation : {Activation::kRelu, Activation::kSigmoid, Activation::kTanh}) {
    Rig own(std::make_unique<ActivationLayer>(activation), {6});
    Rig shared(std::make_unique<ActivationLayer>(activation), {6}, {.input_overwritable = true});
    const Tensor x = random.uniform({3, 6}), kept = Rig::copy_of(x);
    const Tensor y = own.forward(x);
    EXPECT_NE(y.raw(), x.raw());
    EXPECT_EQ(list_of(x), list_of(kept));
    const Tensor in_place = shared.forward(x);
    EXPECT_EQ(in_place.raw(), x.raw());
    EXPECT_EQ(list_of(in_place), list_of(y));
    EXPECT_EQ(shared.build.buffer_bytes(), 0u);

    const Tensor dy = random.uniform({3, 6});
    const std::vector<float> dx = list_of(own.backward(Rig::copy_of(dy)));
    EXPECT_EQ(list_of(shared.backward(dy)), dx);
  }
}

// Values that a layer keeps for its backward survive whatever follows it, views between or not.
TEST(Layers, SequentialSharesOnlyWhatNobodyKeeps) {
  const auto net = [] {
    auto layers = std::make_unique<Sequential>();
    layers->add_named<Flatten>("flatten");                             // the caller's memory
    layers->add_named<ActivationLayer>("act1", Activation::kSigmoid);  // not over it
    layers->add_named<Sequential>("inner");                            // empty: a view
    layers->add_named<Dropout>("drop", 0.5);                           // not over act1's output
    layers->add_named<ActivationLayer>("act2", Activation::kTanh);     // over drop's
    return layers;
  };
  Random random;
  SCOPED_TRACE(fmt::format("seed {}", random.seed()));
  Rig rig(net(), {2, 3});
  const Tensor x = random.uniform({4, 2, 3}), kept = Rig::copy_of(x);
  rig.forward(x);
  rig.forward(x, false);
  EXPECT_EQ(list_of(x), list_of(kept));
  Rig whole(net(), {2, 3});
  expect_gradients(whole, x, random, 5e-3f);
}

TEST(Layers, LinearAndReluTakeOneBuffer) {
  auto net = std::make_unique<Sequential>();
  net->add_named<Linear>("fc", 8);
  net->add_named<ActivationLayer>("act", Activation::kRelu);
  const Rig pair(std::move(net), {3}, {.input_gradient = false});
  const Rig alone(std::make_unique<Linear>(8), {3}, {.input_gradient = false});
  EXPECT_EQ(pair.build.buffer_bytes(), alone.build.buffer_bytes());
}

TEST(Layers, ResidualReusesItsMainBranchsOutput) {
  const auto buffers = [](std::unique_ptr<UnaryLayer> main) {
    Rig rig(std::make_unique<Residual>(std::move(main)), {8}, {.input_gradient = false});
    return rig.build.buffer_bytes();
  };
  Rig linear(std::make_unique<Linear>(8), {8}, {.input_gradient = false});
  EXPECT_EQ(buffers(std::make_unique<Linear>(8)), linear.build.buffer_bytes());
  // Sigmoid keeps its output, so the sum needs a place of its own.
  EXPECT_EQ(buffers(std::make_unique<ActivationLayer>(Activation::kSigmoid)),
            2u * 5 * 8 * sizeof(float));
}

TEST(Layers, PackedWeightsFollowTheVersionOfTheWeights) {
  const auto net = [] {
    auto layers = std::make_unique<Sequential>();
    layers->add_named<Conv2d>("conv", Conv2dOptions::square(17, 3, 1));
    layers->add_named<Flatten>("flatten");
    layers->add_named<Linear>("fc", 33);
    return layers;
  };
  Random random;
  SCOPED_TRACE(fmt::format("seed {}", random.seed()));
  Rig changed(net(), {4, 4, 3}), fresh(net(), {4, 4, 3});
  const Tensor x = random.uniform({5, 4, 4, 3}), dy = random.uniform({5, 33});
  const std::vector<float> before = list_of(changed.forward(x));
  changed.backward(Rig::copy_of(dy));
  for (const Param& param : changed.params.all()) {
    const Tensor values = random.uniform({param.elements});
    std::ranges::copy(values.span<float>(), param.value.span<float>().begin());
    std::ranges::copy(values.span<float>(),
                      fresh.params.find(param.name)->value.span<float>().begin());
  }
  ++changed.version;
  const std::vector<float> after = list_of(changed.forward(x));
  EXPECT_NE(after, before);
  EXPECT_EQ(after, list_of(fresh.forward(x)));
  EXPECT_EQ(list_of(changed.backward(Rig::copy_of(dy))), list_of(fresh.backward(Rig::copy_of(dy))));
}

TEST(Layers, BatchNormGivesLeavesOfTheRunningStatistics) {
  Random random;
  SCOPED_TRACE(fmt::format("seed {}", random.seed()));
  constexpr std::int64_t kRows = 4, kPlaces = 6, kChannels = 3;
  Rig rig(std::make_unique<BatchNorm>(), {2, 3, kChannels});
  const Tensor x = random.uniform({kRows, 2, 3, kChannels}, -1, 5);
  rig.forward(x);
  rig.backward(random.uniform({kRows, 2, 3, kChannels}));
  for (std::int64_t c = 0; c < kChannels; ++c) {
    double sum = 0, squares = 0;
    for (std::int64_t i = 0; i < kRows * kPlaces; ++i) sum += x.data<float>()[i * kChannels + c];
    const double mean = sum / (kRows * kPlaces);
    for (std::int64_t i = 0; i < kRows * kPlaces; ++i)
      squares += std::pow(x.data<float>()[i * kChannels + c] - mean, 2);
    const double variance = squares / (kRows * kPlaces - 1);
    EXPECT_NEAR(rig.params.find("running_mean")->grad.data<float>()[c], kRows * mean, 1e-4);
    EXPECT_NEAR(rig.params.find("running_var")->grad.data<float>()[c], kRows * variance, 1e-4);
  }
  EXPECT_EQ(list_of(rig.params.find("running_mean")->value), std::vector<float>(kChannels, 0));
  EXPECT_EQ(list_of(rig.params.find("running_var")->value), std::vector<float>(kChannels, 1));
  EXPECT_FLOAT_EQ(rig.params.find("running_var")->spec.average_momentum, 0.1f);
  EXPECT_FALSE(rig.params.find("weight")->spec.weight_decay);
}

TEST(Layers, BatchNormUsesRunningStatisticsInEvaluation) {
  Rig rig(std::make_unique<BatchNorm>(0.0f), {2});
  const auto set = [&](const char* name, std::vector<float> values) {
    std::ranges::copy(values, rig.params.find(name)->value.span<float>().begin());
  };
  set("weight", {2, 3});
  set("bias", {1, -1});
  set("running_mean", {4, 0});
  set("running_var", {4, 16});
  const Tensor x = host_tensor({1, 2}, DType::kFloat32);
  x.data<float>()[0] = 6;
  x.data<float>()[1] = 8;
  EXPECT_EQ(list_of(rig.forward(x, false)), (std::vector<float>{3, 5}));
}

TEST(Layers, DropoutDependsOnSampleAndStepAndLayerAlone) {
  constexpr std::int64_t kColumns = 4000;
  auto net = std::make_unique<Sequential>();
  net->add_named<Dropout>("drop1", 0.25);
  Rig rig(std::move(net), {kColumns}, {.max_rows = 2});
  const Tensor ones = host_tensor({2, kColumns}, DType::kFloat32);
  std::ranges::fill(ones.span<float>(), 1.0f);
  const Tensor y = Rig::copy_of(rig.forward(ones));
  std::int64_t zeros = 0;
  for (const float value : y.span<float>()) {
    if (value == 0)
      ++zeros;
    else
      ASSERT_FLOAT_EQ(value, 1 / 0.75f);
  }
  EXPECT_NEAR(static_cast<double>(zeros) / (2 * kColumns), 0.25, 0.03);
  EXPECT_NE(list_of(y.slice(0, 1)), list_of(y.slice(1, 2)));
  EXPECT_EQ(list_of(rig.forward(ones)), list_of(y));
  EXPECT_EQ(list_of(rig.backward(Rig::copy_of(ones))), list_of(y));  // the same mask
  EXPECT_EQ(list_of(rig.forward(ones.head(1))), list_of(y.head(1)));
  EXPECT_EQ(list_of(rig.forward(ones, false)), list_of(ones));

  Pass later = rig.pass(2, true);
  later.step += 1;
  Tensor other;
  rig.in_stream([&] { other = rig.layer->forward(later, ones); });
  EXPECT_NE(list_of(other), list_of(y));

  auto two = std::make_unique<Sequential>();
  two->add_named<Dropout>("drop1", 0.25);
  two->add_named<Dropout>("drop2", 0.25);
  Rig both(std::move(two), {kColumns}, {.max_rows = 2});
  const Tensor twice = both.forward(ones);
  const auto kept = std::ranges::count_if(twice.span<float>(), [](float v) { return v != 0; });
  EXPECT_NEAR(static_cast<double>(kept) / (2 * kColumns), 0.75 * 0.75, 0.03);
}

TEST(Layers, TheFirstLayerThatIsNotFiniteIsNamed) {
  const auto net = [] {
    auto inner = std::make_unique<Sequential>();
    inner->add_named<Linear>("fc2", 3);
    auto layers = std::make_unique<Sequential>();
    layers->add_named<Linear>("fc1", 3);
    layers->add(std::make_unique<Residual>(std::move(inner)), "block");
    layers->add_named<Linear>("fc3", 2);
    return layers;
  };
  Rig rig(net(), {3});
  rig.check_finite = true;
  Random random;
  const Tensor x = random.uniform({2, 3});
  rig.forward(x);
  rig.params.find("block.main.fc2.bias")->value.data<float>()[1] =
      std::numeric_limits<float>::infinity();
  const std::string message = error_of([&] { rig.forward(x); });
  EXPECT_NE(message.find("'block.main.fc2'"), std::string::npos) << message;
  EXPECT_NE(message.find("1000"), std::string::npos) << message;  // the sample's place
}

TEST(Layers, TableListsLeavesWithTheirCosts) {
  auto net = std::make_unique<Sequential>();
  net->add(std::make_unique<Conv2d>(Conv2dOptions::square(4, 3, 1)));
  net->add(std::make_unique<MaxPool2d>());
  net->add(std::make_unique<Flatten>());
  net->add(std::make_unique<Linear>(10));
  const Rig rig(std::move(net), {6, 4, 2});
  ASSERT_EQ(rig.build.table.size(), 4u);
  const Build::Row& conv = rig.build.table[0];
  EXPECT_EQ(conv.name, "0");
  EXPECT_EQ(conv.output, (Shape{6, 4, 4}));
  EXPECT_EQ(conv.parameters, 4 * 2 * 9 + 4);
  EXPECT_EQ(conv.multiply_adds, 4 * 2 * 9 * 6 * 4);
  const Build::Row& linear = rig.build.table[3];
  EXPECT_EQ(linear.name, "3");
  EXPECT_EQ(linear.parameters, 24 * 10 + 10);
  EXPECT_EQ(linear.multiply_adds, 24 * 10);
}

TEST(Layers, MessagesNameTheLayerAndWhatToDo) {
  const auto building = [](std::unique_ptr<UnaryLayer> layer, const Shape& sample) {
    auto net = std::make_unique<Sequential>();
    net->add(std::move(layer), "here");
    return error_of([&] { Rig rig(std::move(net), sample); });
  };
  const auto expect = [](const std::string& message, const char* part) {
    EXPECT_NE(message.find("'here'"), std::string::npos) << message;
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect(building(std::make_unique<Linear>(3), {2, 2, 1}), "flatten");
  expect(building(std::make_unique<Conv2d>(Conv2dOptions::square(3, 3)), {9}), "(H, W, C)");
  expect(building(std::make_unique<Conv2d>(Conv2dOptions::square(3, 5)), {4, 4, 1}), "fit");
  Conv2dOptions grouped = Conv2dOptions::square(4, 1);
  grouped.groups = 3;
  expect(building(std::make_unique<Conv2d>(grouped), {4, 4, 3}), "3 groups");
  expect(building(std::make_unique<MaxPool2d>(PoolOptions::square(16, 1)), {16, 16, 1}), "255");
  expect(building(std::make_unique<MaxPool2d>(PoolOptions::square(2, 2, 2)), {4, 4, 1}), "half");
  expect(building(std::make_unique<AvgPool2d>(PoolOptions::square(5, 5)), {4, 4, 1}), "fit");
  expect(building(std::make_unique<GlobalAvgPool2d>(), {4}), "(H, W, C)");
  expect(building(std::make_unique<AddChannel>(), {4}), "(H, W)");
  expect(building(std::make_unique<Residual>(std::make_unique<Linear>(3)), {4}), "(3)");
  auto flattened = std::make_unique<Sequential>();
  flattened->add(std::make_unique<Flatten>());
  flattened->add(std::make_unique<BatchNorm>());
  const std::string message = error_of([&] { Rig rig(std::move(flattened), {2, 2, 3}); });
  EXPECT_NE(message.find("normalise before it"), std::string::npos) << message;
  EXPECT_NE(error_of([] { Dropout(1.0); }).find("[0, 1)"), std::string::npos);
  EXPECT_NE(error_of([] { parse_activation("swish"); }).find("relu, sigmoid, tanh"),
            std::string::npos);
}

}  // namespace
}  // namespace lockstep
