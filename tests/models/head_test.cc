// Which layer is a network's head, by its parameters' names.
#include "models/head.h"

#include "models/layers/conv2d.h"
#include "models/layers/linear.h"
#include "models/layers/pool.h"
#include "models/zoo.h"
#include "tests/models/rig.h"

namespace lockstep {
namespace {

std::unique_ptr<UnaryLayer> convolution() {
  return std::make_unique<Conv2d>(Conv2dOptions::square(3, 3));
}

TEST(Head, IsTheLastLinearLayer) {
  const Rig cnn(make_network("cnn", {}, {Shape{8, 8, 1}, 4}), {8, 8, 1});
  EXPECT_EQ(head_scope(cnn.params), "fc2");
  const Rig logistic(make_network("logistic", {}, {Shape{3}, 4}), {3});
  EXPECT_EQ(head_scope(logistic.params), "fc");
}

TEST(Head, MayLieInAScopeOfItsOwn) {
  auto head = std::make_unique<Sequential>();
  head->add_named<GlobalAvgPool2d>("pool");
  head->add_named<Linear>("fc", 2);
  auto network = std::make_unique<Sequential>();
  network->add(convolution(), "stem");
  network->add(std::move(head), "head");
  EXPECT_EQ(head_scope(Rig(std::move(network), {4, 4, 1}).params), "head.fc");
}

TEST(Head, OfALayerAloneIsTheEmptyScope) {
  const Rig rig(std::make_unique<Linear>(2), {3});
  EXPECT_EQ(head_scope(rig.params), "");
  EXPECT_TRUE(in_scope("weight", ""));
}

TEST(Head, ANetworkWithoutLinearLayersHasNone) {
  EXPECT_EQ(head_scope(Rig(convolution(), {4, 4, 1}).params), std::nullopt);
}

TEST(Head, ScopesEndAtDots) {
  EXPECT_TRUE(in_scope("head.fc.weight", "head.fc"));
  EXPECT_TRUE(in_scope("head.fc.weight", "head"));
  EXPECT_FALSE(in_scope("head.fc.weight", "head.f"));
  EXPECT_FALSE(in_scope("fc10.weight", "fc1"));
  EXPECT_FALSE(in_scope("fc", "fc.weight"));
}

}  // namespace
}  // namespace lockstep
