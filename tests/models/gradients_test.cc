// Every layer's gradients, of its input and its parameters, against central differences through the
// whole contract. A new layer adds one line to the list.
#include "models/layers/activation.h"
#include "models/layers/adaptive_pool.h"
#include "models/layers/batch_norm.h"
#include "models/layers/conv2d.h"
#include "models/layers/drop_path.h"
#include "models/layers/dropout.h"
#include "models/layers/flatten.h"
#include "models/layers/layer_norm.h"
#include "models/layers/layer_scale.h"
#include "models/layers/linear.h"
#include "models/layers/maxout.h"
#include "models/layers/mean_tokens.h"
#include "models/layers/multihead_attention.h"
#include "models/layers/parallel.h"
#include "models/layers/polynomial.h"
#include "models/layers/pool.h"
#include "models/layers/positional_encoding.h"
#include "models/layers/recurrent.h"
#include "models/layers/residual.h"
#include "models/layers/sequential.h"
#include "models/layers/squeeze_excitation.h"
#include "tests/models/rig.h"

namespace lockstep {
namespace {

using Made = std::unique_ptr<UnaryLayer>;
enum class Inputs { kAny, kAwayFromZero, kDistinct };

struct Case {
  const char* name;
  Shape sample;
  Made (*make)();
  Inputs inputs = Inputs::kAny;
};

void PrintTo(const Case& one, std::ostream* out) {
  *out << one.name;
}

Conv2dOptions strided_grouped() {
  Conv2dOptions options = Conv2dOptions::square(6, 3, 1, 2);
  options.kernel_w = 2;
  options.pad_w = 2;
  options.dilation_w = 2;
  options.groups = 2;
  options.bias = false;
  return options;
}

PoolOptions overlapping() {
  PoolOptions options = PoolOptions::square(3, 2, 1);
  options.kernel_w = 2;
  options.stride_w = 1;
  options.pad_w = 0;
  options.count_include_pad = false;
  return options;
}

Made small_net() {
  auto net = std::make_unique<Sequential>();
  net->add_named<Conv2d>("conv", Conv2dOptions::square(3, 3, 1));
  net->add_named<BatchNorm>("bn");
  net->add_named<ActivationLayer>("act", Activation::kTanh);
  net->add_named<Dropout>("drop", 0.25);
  net->add_named<AvgPool2d>("pool");
  net->add_named<Flatten>("flatten");
  net->add_named<Linear>("fc", 4);
  net->add_named<ActivationLayer>("out", Activation::kSigmoid);
  return net;
}

Made branch(std::int64_t channels) {
  auto net = std::make_unique<Sequential>();
  net->add_named<Conv2d>("conv1", Conv2dOptions::square(channels, 3, 1));
  net->add_named<ActivationLayer>("act", Activation::kSigmoid);
  net->add_named<Conv2d>("conv2", Conv2dOptions::square(channels, 1));
  return net;
}

// The main branch begins and ends in place: dy must reach the shortcut unharmed.
Made in_place_residual() {
  auto main = std::make_unique<Sequential>();
  main->add_named<ActivationLayer>("act1", Activation::kTanh);
  main->add_named<Dropout>("drop", 0.25);
  main->add_named<ActivationLayer>("act2", Activation::kSigmoid);
  return std::make_unique<Residual>(std::move(main));
}

Made recurrent(RecurrentKind kind, std::int64_t layers, bool sequence) {
  return std::make_unique<Recurrent>(
      RecurrentOptions{.kind = kind, .hidden = 3, .layers = layers, .sequence = sequence});
}

Made bidirectional(RecurrentKind kind, std::int64_t layers, bool sequence, bool bias) {
  return std::make_unique<Recurrent>(RecurrentOptions{.kind = kind,
                                                      .hidden = 2,
                                                      .layers = layers,
                                                      .bias = bias,
                                                      .bidirectional = true,
                                                      .sequence = sequence});
}

Made dropped(RecurrentKind kind, std::int64_t layers, bool bidirectional, bool sequence) {
  return std::make_unique<Recurrent>(RecurrentOptions{.kind = kind,
                                                      .hidden = 3,
                                                      .layers = layers,
                                                      .bidirectional = bidirectional,
                                                      .sequence = sequence,
                                                      .dropout = 0.4});
}

Made attention(const AttentionOptions& options) {
  return std::make_unique<MultiheadAttention>(options);
}

// GELU keeps its input, which the layers around it may not overwrite.
Made gelu_inside() {
  auto net = std::make_unique<Sequential>();
  net->add_named<Linear>("fc1", 5);
  net->add_named<ActivationLayer>("gelu", Activation::kGelu);
  net->add_named<ActivationLayer>("tanh", Activation::kTanh);
  net->add_named<ActivationLayer>("silu", Activation::kSilu);
  net->add_named<Linear>("fc2", 3);
  return net;
}

// A learning branch, an in-place one and the input itself.
Made in_parallel(Parallel::Join join) {
  auto in_place = std::make_unique<Sequential>();
  in_place->add_named<ActivationLayer>("act", Activation::kTanh);
  in_place->add_named<Dropout>("drop", 0.25);
  std::vector<Made> branches;
  branches.push_back(branch(2));
  branches.push_back(std::move(in_place));
  branches.push_back(nullptr);
  return std::make_unique<Parallel>(std::move(branches), join);
}

// Branches within branches, with gradients that wait while others run.
Made nested_branches() {
  auto gated = std::make_unique<Sequential>();
  gated->add_named<Conv2d>("conv", Conv2dOptions::square(3, 3, 1));
  gated->add_named<ActivationLayer>("silu", Activation::kSilu);
  gated->add_named<SqueezeExcitation>("se", 2);
  gated->add_named<Conv2d>("out", Conv2dOptions::square(3, 1));
  auto inner = std::make_unique<Residual>(std::move(gated), branch(3));
  std::vector<Made> branches;
  branches.push_back(std::move(inner));
  branches.push_back(branch(3));
  auto main = std::make_unique<Sequential>();
  main->add_named<ActivationLayer>("tanh", Activation::kTanh);
  main->add(std::make_unique<Parallel>(std::move(branches), Parallel::Join::kAdd));
  main->add(std::make_unique<Residual>(branch(3)));
  auto net = std::make_unique<Sequential>();
  net->add_named<Conv2d>("first", Conv2dOptions::square(2, 1));
  net->add(std::make_unique<Residual>(std::move(main), branch(3)));
  net->add_named<AvgPool2d>("pool");
  return net;
}

const std::vector<Case>& cases() {
  static const std::vector<Case> list = {
      {"linear", {7}, [] { return Made(new Linear(5)); }},
      {"linear_no_bias", {1}, [] { return Made(new Linear(1, false)); }},
      {"conv", {5, 4, 2}, [] { return Made(new Conv2d(Conv2dOptions::square(3, 3, 1))); }},
      {"conv_strided_grouped", {6, 5, 4}, [] { return Made(new Conv2d(strided_grouped())); }},
      {"conv_1x1", {2, 2, 3}, [] { return Made(new Conv2d(Conv2dOptions::square(17, 1))); }},
      {"max_pool", {4, 6, 3}, [] { return Made(new MaxPool2d); }, Inputs::kDistinct},
      {"max_pool_overlapping",
       {5, 4, 2},
       [] { return Made(new MaxPool2d(overlapping())); },
       Inputs::kDistinct},
      {"avg_pool", {4, 4, 3}, [] { return Made(new AvgPool2d); }},
      {"avg_pool_overlapping", {5, 4, 2}, [] { return Made(new AvgPool2d(overlapping())); }},
      {"global_avg_pool", {3, 4, 5}, [] { return Made(new GlobalAvgPool2d); }},
      {"batch_norm_images", {2, 3, 4}, [] { return Made(new BatchNorm); }},
      {"batch_norm_vectors", {3}, [] { return Made(new BatchNorm); }, Inputs::kDistinct},
      {"dropout", {11}, [] { return Made(new Dropout(0.5)); }},
      {"squeeze_excitation", {3, 2, 8}, [] { return Made(new SqueezeExcitation(2)); }},
      {"layer_scale", {3, 2, 2}, [] { return Made(new LayerScale(branch(3), 3, 0.5)); }},
      {"nested_branches", {4, 2, 2}, nested_branches},
      {"drop_path", {3, 4}, [] { return Made(new DropPath(0.5)); }},
      {"linear_each_place",
       {2, 3, 4},
       [] { return Made(new Linear(LinearOptions{.out = 5, .each_place = true})); }},
      {"flatten", {2, 3, 2}, [] { return Made(new Flatten); }},
      {"add_channel", {2, 3}, [] { return Made(new AddChannel); }},
      {"relu",
       {3, 5},
       [] { return Made(new ActivationLayer(Activation::kRelu)); },
       Inputs::kAwayFromZero},
      {"sigmoid", {19}, [] { return Made(new ActivationLayer(Activation::kSigmoid)); }},
      {"tanh", {2, 2, 5}, [] { return Made(new ActivationLayer(Activation::kTanh)); }},
      {"quadratic", {3}, [] { return Made(new Quadratic); }},
      {"product", {2, 3}, [] { return Made(new Product); }},
      {"leaky_relu",
       {3, 5},
       [] { return Made(new ActivationLayer(Activation::kLeakyRelu)); },
       Inputs::kAwayFromZero},
      {"elu",
       {17},
       [] { return Made(new ActivationLayer(Activation(Activation::kElu, 0.5f))); },
       Inputs::kAwayFromZero},
      {"gelu", {3, 5}, [] { return Made(new ActivationLayer(Activation::kGelu)); }},
      {"gelu_tanh", {19}, [] { return Made(new ActivationLayer(Activation::kGeluTanh)); }},
      {"silu", {2, 2, 5}, [] { return Made(new ActivationLayer(Activation::kSilu)); }},
      {"gelu_inside", {4}, gelu_inside},
      {"maxout", {12}, [] { return Made(new Maxout(3)); }, Inputs::kDistinct},
      {"maxout_images", {2, 3, 4}, [] { return Made(new Maxout(2)); }, Inputs::kDistinct},
      {"adaptive_max_pool",
       {5, 3, 2},
       [] { return Made(new AdaptiveMaxPool2d(3, 2)); },
       Inputs::kDistinct},
      {"adaptive_avg_pool", {5, 3, 2}, [] { return Made(new AdaptiveAvgPool2d(2, 4)); }},
      {"layer_norm_vectors", {6}, [] { return Made(new LayerNorm); }, Inputs::kDistinct},
      {"layer_norm_images", {2, 2, 4}, [] { return Made(new LayerNorm); }, Inputs::kDistinct},
      {"softmax", {6}, [] { return Made(new Softmax); }},
      {"log_softmax", {6}, [] { return Made(new LogSoftmax); }},
      {"sequential", {6, 4, 2}, small_net},
      {"sequential_empty", {4}, [] { return Made(new Sequential); }},
      {"residual", {4, 3, 2}, [] { return Made(new Residual(branch(2))); }},
      {"residual_projection",
       {4, 3, 2},
       [] {
         return Made(
             new Residual(branch(3), std::make_unique<Conv2d>(Conv2dOptions::square(3, 1))));
       }},
      {"parallel_concat", {4, 3, 2}, [] { return in_parallel(Parallel::Join::kConcat); }},
      {"parallel_add", {4, 3, 2}, [] { return in_parallel(Parallel::Join::kAdd); }},
      {"residual_in_place", {2, 7}, in_place_residual},
      {"linear_of_tokens", {3, 4}, [] { return Made(new Linear(5)); }},
      {"mean_tokens", {4, 3}, [] { return Made(new MeanTokens); }},
      {"mean_tokens_past_padding", {4, 3}, [] { return Made(new MeanTokens(1)); }},
      {"positions", {4, 5}, [] { return Made(new PositionalEncoding(PositionKind::kSinusoidal)); }},
      {"learned_positions",
       {3, 2},
       [] { return Made(new PositionalEncoding(PositionKind::kLearned)); }},
      {"rnn_last", {4, 2}, [] { return recurrent(RecurrentKind::kRnnTanh, 1, false); }},
      {"rnn_sequence", {3, 2}, [] { return recurrent(RecurrentKind::kRnnTanh, 2, true); }},
      {"lstm_last", {4, 2}, [] { return recurrent(RecurrentKind::kLstm, 1, false); }},
      {"lstm_sequence", {3, 2}, [] { return recurrent(RecurrentKind::kLstm, 2, true); }},
      {"lstm_of_one_token", {1, 2}, [] { return recurrent(RecurrentKind::kLstm, 2, false); }},
      {"gru_last", {4, 2}, [] { return recurrent(RecurrentKind::kGru, 2, false); }},
      {"gru_sequence", {3, 2}, [] { return recurrent(RecurrentKind::kGru, 1, true); }},
      {"lstm_both_ways", {3, 2}, [] { return bidirectional(RecurrentKind::kLstm, 2, true, true); }},
      {"gru_both_ways_no_bias",
       {3, 5},
       [] { return bidirectional(RecurrentKind::kGru, 2, false, false); }},
      {"attention", {3, 4}, [] { return attention({.heads = 2}); }},
      {"attention_causal_no_bias",
       {4, 3},
       [] { return attention({.heads = 1, .causal = true, .bias = false}); }},
      {"attention_past_padding", {4, 4}, [] { return attention({.heads = 2, .padding = 2}); }},
      {"attention_causal_past_padding",  // some tokens see padding alone
       {3, 4},
       [] { return attention({.heads = 2, .causal = true, .padding = 0}); }},
      {"lstm_dropout", {3, 2}, [] { return dropped(RecurrentKind::kLstm, 3, false, false); }},
      {"gru_dropout_both_ways", {3, 2}, [] { return dropped(RecurrentKind::kGru, 2, true, true); }},
  };
  return list;
}

class LayerGradients : public testing::TestWithParam<Case> {};

TEST_P(LayerGradients, MatchDifferences) {
  const Case& one = GetParam();
  Random random;
  for (const std::int64_t rows : {5, 2}) {
    Rig rig(one.make(), one.sample);
    const Shape shape = one.sample.with_rows(rows);
    const Tensor x = one.inputs == Inputs::kDistinct       ? random.distinct(shape)
                     : one.inputs == Inputs::kAwayFromZero ? random.away_from_zero(shape)
                                                           : random.uniform(shape);
    const bool curved = one.make()->keeps_output() || rows == 2;
    expect_gradients(rig, x, random, curved ? 5e-3f : 1e-2f, 4e-3);
    if (HasFailure()) return;
  }
}

// Where no parameter lies before the layer, the parameters' gradients are the same bits, and none
// of the input is given.
TEST_P(LayerGradients, NoneOfTheInputWhereNoneFlows) {
  const Case& one = GetParam();
  Random random;
  SCOPED_TRACE(fmt::format("seed {}", random.seed()));
  Rig with(one.make(), one.sample);
  Rig without(one.make(), one.sample, {.input_gradient = false});
  const Tensor x = random.uniform(one.sample.with_rows(4));
  const Tensor dy = random.uniform(with.output.with_rows(4));
  EXPECT_EQ(list_of(with.forward(Rig::copy_of(x))), list_of(without.forward(Rig::copy_of(x))));
  EXPECT_TRUE(with.backward(Rig::copy_of(dy)).defined());
  EXPECT_FALSE(without.backward(Rig::copy_of(dy)).defined());
  ASSERT_EQ(with.params.all().size(), without.params.all().size());
  for (const Param& param : with.params.all()) {
    EXPECT_EQ(list_of(param.grad), list_of(without.params.find(param.name)->grad)) << param.name;
    EXPECT_EQ(without.reported[param.name], 1) << param.name;
  }
  EXPECT_EQ(without.build.gradient_flows, !with.params.all().empty());
}

// Any of the parameters may be frozen: the others' gradients are the same bits, and so is the
// input's.
TEST_P(LayerGradients, FrozenParametersChangeNothingElse) {
  const Case& one = GetParam();
  Random random;
  SCOPED_TRACE(fmt::format("seed {}", random.seed()));
  Rig whole(one.make(), one.sample);
  RigOptions options;
  for (const Param& param : whole.params.all())
    if (param.spec.kind == ParamKind::kTrainable && random.engine()() % 2 == 0)
      options.frozen.insert(param.name);
  Rig part(one.make(), one.sample, options);
  const Tensor x = random.uniform(one.sample.with_rows(4));
  const Tensor dy = random.uniform(whole.output.with_rows(4));
  EXPECT_EQ(list_of(whole.forward(Rig::copy_of(x))), list_of(part.forward(Rig::copy_of(x))));
  EXPECT_EQ(list_of(whole.backward(Rig::copy_of(dy))), list_of(part.backward(Rig::copy_of(dy))));
  for (const Param& param : part.params.all()) {
    EXPECT_EQ(param.trains, !options.frozen.contains(param.name)) << param.name;
    EXPECT_EQ(part.reported[param.name], param.trains ? 1 : 0) << param.name;
    if (!param.trains) continue;
    EXPECT_EQ(list_of(param.grad), list_of(whole.params.find(param.name)->grad)) << param.name;
  }
}

// Batch norm with frozen statistics is a line through each channel, in training too.
TEST(BatchNormGradients, FrozenStatisticsAreConstants) {
  for (const bool parameters_frozen : {false, true}) {
    Random random;
    SCOPED_TRACE(fmt::format("seed {}", random.seed()));
    RigOptions options{.frozen = {"running_mean", "running_var"}};
    if (parameters_frozen) options.frozen.insert({"weight", "bias"});
    Rig rig(std::make_unique<BatchNorm>(), {3, 2, 4}, options);
    for (const Param& param : rig.params.all()) {
      const Tensor values = random.uniform({param.elements}, 0.5f, 2.0f);
      std::ranges::copy(values.span<float>(), param.value.span<float>().begin());
    }
    const Tensor x = random.uniform({5, 3, 2, 4});
    EXPECT_EQ(list_of(rig.forward(x)), list_of(rig.forward(x, false)));
    expect_gradients(rig, x, random);
    EXPECT_EQ(rig.build.gradient_flows, true);
  }
}

// Buffers are as large as the largest shard; a smaller one gives the bits of a rig of its size.
TEST_P(LayerGradients, SmallerShardsLeaveNoTrace) {
  const Case& one = GetParam();
  Random random;
  SCOPED_TRACE(fmt::format("seed {}", random.seed()));
  Rig large(one.make(), one.sample, {.max_rows = 9});
  Rig fitting(one.make(), one.sample, {.max_rows = 3});
  const Tensor before = random.uniform(one.sample.with_rows(9));
  large.forward(before);
  large.backward(random.uniform(large.output.with_rows(9)));
  const Tensor x = random.uniform(one.sample.with_rows(3));
  const Tensor dy = random.uniform(large.output.with_rows(3));
  EXPECT_EQ(list_of(large.forward(Rig::copy_of(x))), list_of(fitting.forward(Rig::copy_of(x))));
  EXPECT_EQ(list_of(large.backward(Rig::copy_of(dy))), list_of(fitting.backward(Rig::copy_of(dy))));
  for (const Param& param : large.params.all())
    EXPECT_EQ(list_of(param.grad), list_of(fitting.params.find(param.name)->grad)) << param.name;
}

TEST_P(LayerGradients, ShardsWithoutRowsGiveZeros) {
  const Case& one = GetParam();
  Rig rig(one.make(), one.sample);
  EXPECT_EQ(rig.forward(host_tensor(one.sample.with_rows(0), DType::kFloat32)).rows(), 0);
  EXPECT_EQ(rig.backward(host_tensor(rig.output.with_rows(0), DType::kFloat32)).rows(), 0);
  for (const Param& param : rig.params.all()) {
    for (const float value : param.grad.span<float>()) ASSERT_EQ(value, 0) << param.name;
  }
}

INSTANTIATE_TEST_SUITE_P(All, LayerGradients, testing::ValuesIn(cases()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace lockstep
