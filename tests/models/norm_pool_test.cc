// A ResNet's stem in one operation gives what batch norm, ReLU and max pooling give in turn: the
// same output and statistics, and gradients that differ by rounding.
#include <gtest/gtest.h>

#include "models/layers/norm_pool.h"
#include "models/layers/sequential.h"
#include "tests/models/rig.h"

namespace lockstep {
namespace {

constexpr std::int64_t kRows = 4;

std::unique_ptr<UnaryLayer> layers_in_turn() {
  auto norm = std::make_unique<BatchNorm>();
  norm->end_with_relu();
  auto layers = std::make_unique<Sequential>();
  layers->add(std::move(norm), "bn1");
  layers->add_named<MaxPool2d>("maxpool", PoolOptions::square(3, 2, 1));
  return layers;
}

std::unique_ptr<UnaryLayer> one_layer() {
  return std::make_unique<NormMaxPool>("bn1", PoolOptions::square(3, 2, 1), "maxpool");
}

void expect_near(const Tensor& one, const Tensor& two, const std::string& name) {
  ASSERT_EQ(one.shape(), two.shape()) << name;
  for (std::int64_t i = 0; i < one.elements(); ++i)
    EXPECT_NEAR(one.data<float>()[i], two.data<float>()[i], 2e-5) << name << "[" << i << "]";
}

class NormMaxPoolTest : public testing::Test {
 protected:
  void check(const RigOptions& options) {
    SCOPED_TRACE(fmt::format("seed {}", random_.seed()));
    const Shape sample{9, 10, 5};
    Rig turn(layers_in_turn(), sample, options), one(one_layer(), sample, options);
    ASSERT_EQ(turn.output, one.output);
    const Tensor x = random_.distinct(sample.with_rows(kRows));
    const Tensor dy = random_.uniform(turn.output.with_rows(kRows));
    for (Param& param : parameters(turn)) {
      if (param.spec.kind != ParamKind::kTrainable) continue;
      const Tensor values = random_.uniform(param.value.shape(), 0.2f, 1.0f);
      std::ranges::copy(values.span<float>(), param.value.span<float>().begin());
      std::ranges::copy(values.span<float>(),
                        one.params.find(param.name)->value.span<float>().begin());
    }
    for (const bool training : {false, true})
      EXPECT_EQ(list_of(turn.forward(Rig::copy_of(x), training)),
                list_of(one.forward(Rig::copy_of(x), training)));
    expect_near(turn.backward(Rig::copy_of(dy)), one.backward(Rig::copy_of(dy)), "dx");
    EXPECT_EQ(turn.reported, one.reported);
    for (const Param& param : parameters(turn))
      if (param.trains) expect_near(param.grad, one.params.find(param.name)->grad, param.name);
    EXPECT_EQ(names(turn), names(one));
  }

 private:
  static std::vector<Param> parameters(const Rig& rig) {
    return {rig.params.all().begin(), rig.params.all().end()};
  }
  static std::vector<std::string> names(const Rig& rig) {
    std::vector<std::string> names;
    for (const Build::Row& row : rig.build.table) names.push_back(row.name + " " + row.kind);
    return names;
  }

  Random random_;
};

TEST_F(NormMaxPoolTest, IsItsLayersInTurn) {
  check({});
}

TEST_F(NormMaxPoolTest, AlsoWhereStatisticsAreFrozen) {
  check({.frozen = {"bn1.running_mean", "bn1.running_var"}});
}

TEST_F(NormMaxPoolTest, AlsoWhereAllIsFrozen) {
  check({.frozen = {"bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var"}});
}

}  // namespace
}  // namespace lockstep
