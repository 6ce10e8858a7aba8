// In evaluation, layers that run as one operation with those behind them, and rows that pass
// through a network a few at a time, give the bits of every layer by itself over all rows.
#include <cstring>

#include "models/layers/batch_norm.h"
#include "models/layers/conv2d.h"
#include "models/layers/linear.h"
#include "models/layers/pool.h"
#include "models/zoo.h"
#include "runtime/step/replica.h"
#include "tests/models/rig.h"

namespace lockstep {
namespace {

class EverySingleOutput final : public LayerObserver {
 public:
  void output(const std::string&, const Tensor&) override { ++outputs; }
  void gradient(const std::string&, const Tensor&) override {}
  int outputs = 0;
};

// Any values, so that nothing is 0 or 1 as at the start of training; what flows through keeps its
// size.
void set_any_values(ParamSet& params, Backend& backend) {
  std::mt19937_64 random(static_cast<std::uint64_t>(params.elements()));
  std::normal_distribution<float> normal;
  for (const Param& param : params.all()) {
    const Shape& shape = param.spec.file_shape;
    const double fan_in = static_cast<double>(param.elements) / static_cast<double>(shape[0]);
    const float scale = shape.rank() > 1 ? static_cast<float>(1 / std::sqrt(fan_in)) : 0.3f;
    const Tensor values = host_tensor({param.value.elements()}, DType::kFloat32);
    for (float& value : values.span<float>()) {
      value = scale * normal(random);
      if (param.name.ends_with("running_var")) value = 0.5f + value * value;
    }
    Tensor target = param.value.view({param.value.elements()});
    backend.copy(values, target);
  }
}

Tensor any_images(const Shape& shape) {
  std::mt19937_64 random(5);
  std::normal_distribution<float> normal;
  Tensor x = host_tensor(shape, DType::kFloat32);
  for (float& value : x.span<float>()) value = normal(random);
  return x;
}

void expect_same_bits(const Tensor& a, const Tensor& b) {
  ASSERT_EQ(a.shape().to_string(), b.shape().to_string());
  for (const float value : a.span<float>()) ASSERT_TRUE(std::isfinite(value));
  EXPECT_EQ(std::memcmp(a.raw(), b.raw(), a.bytes()), 0);
}

struct Case {
  const char* network;
  double drop_path;
};

class JoinedLayers : public testing::TestWithParam<Case> {};

TEST_P(JoinedLayers, GiveTheBitsOfEachByItself) {
  const Shape sample{64, 64, 3};
  ModelTable keys;
  if (GetParam().drop_path > 0) keys.set("drop_path", {{GetParam().drop_path}, "test.toml:1"});
  Rig rig(make_network(GetParam().network, keys, {sample, 7}), sample, {.max_rows = 3});
  set_any_values(rig.params, *rig.backend);
  ++rig.version;
  const Tensor x = any_images({3, 64, 64, 3});
  const Tensor joined = Rig::copy_of(rig.forward(x, false));
  EverySingleOutput observer;
  Tensor apart;
  rig.in_stream([&] {
    Pass pass = rig.pass(3, false);
    pass.observer = &observer;
    apart = rig.layer->forward(pass, x);
  });
  EXPECT_GT(observer.outputs, 20);
  expect_same_bits(joined, apart);
}

INSTANTIATE_TEST_SUITE_P(Networks, JoinedLayers,
                         testing::Values(Case{"resnet18", 0}, Case{"resnet18", 0.2},
                                         Case{"resnet50", 0}, Case{"efficientnet_b0", 0},
                                         Case{"efficientnet_b0", 0.2}, Case{"convnext_tiny", 0},
                                         Case{"convnext_tiny", 0.2}),
                         [](const auto& one) {
                           return std::string(one.param.network) +
                                  (one.param.drop_path > 0 ? "_drop_path" : "");
                         });

// Few weights over large images: single rows pass through all layers.
TEST(RowsAtOnce, GiveTheBitsOfAllRows) {
  constexpr std::int64_t kRows = 5;
  const auto backend = make_cpu_backend(best_isa());
  const auto stream = backend->make_stream(0);
  Blueprint blueprint;
  blueprint.make_network = [] {
    auto network = std::make_unique<Sequential>();
    network->add_named<Conv2d>("conv", Conv2dOptions::square(8, 3, 1));
    network->add_named<BatchNorm>("bn");
    network->add_named<ActivationLayer>("act", Activation::kSilu);
    network->add_named<Conv2d>("conv2", Conv2dOptions::square(12, 3, 1, 2));
    network->add_named<GlobalAvgPool2d>("pool");
    network->add_named<Linear>("fc", 10);
    return network;
  };
  blueprint.sample = {200, 200, 3};
  Replica replica(blueprint, kRows, *backend, *stream);
  const Tensor values = host_tensor({replica.elements()}, DType::kFloat32);
  replica.params().bind_values(*backend, values.data<float>());
  set_any_values(replica.params(), *backend);
  ShardBatch batch;
  batch.rows = kRows;
  batch.x = any_images({kRows, 200, 200, 3});
  batch.sample_ids = host_tensor({kRows}, DType::kInt64);
  std::ranges::fill(batch.sample_ids.span<std::int64_t>(), 0);
  Tensor few, all;
  stream->submit([&] { few = Rig::copy_of(replica.predict(batch, 1)); });
  stream->synchronize();
  EverySingleOutput observer;
  stream->submit([&] { all = replica.predict(batch, 1, &observer); });
  stream->synchronize();
  EXPECT_EQ(observer.outputs, 6) << "every layer once, over all rows";
  expect_same_bits(few, all);
}

}  // namespace
}  // namespace lockstep
