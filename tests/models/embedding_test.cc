// Embedding: rows of its table by id, sums of gradients by id, and what it refuses.
#include "models/layers/embedding.h"

#include <gmock/gmock.h>

#include "models/layers/linear.h"
#include "models/layers/sequential.h"
#include "tests/models/rig.h"

namespace lockstep {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

Tensor ids_of(const Shape& shape, std::initializer_list<std::int64_t> ids) {
  const Tensor tensor = host_tensor(shape, DType::kInt64);
  std::ranges::copy(ids, tensor.data<std::int64_t>());
  return tensor;
}

std::unique_ptr<UnaryLayer> embedding(std::int64_t ids, std::int64_t width,
                                      std::optional<std::int64_t> padding = {}) {
  return std::make_unique<Embedding>(EmbeddingOptions{ids, width, padding});
}

template <typename Work>
std::string complaint(Work work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(EmbeddingTest, GivesTheRowsOfItsTable) {
  Rig rig(embedding(4, 2), {3});
  EXPECT_EQ(rig.output, (Shape{3, 2}));
  const std::span<float> table = rig.params.find("weight")->value.span<float>();
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = static_cast<float>(i);
  EXPECT_THAT(list_of(rig.forward(ids_of({2, 3}, {3, 0, 1, 1, 1, 2}))),
              ElementsAre(6, 7, 0, 1, 2, 3, 2, 3, 2, 3, 4, 5));
}

TEST(EmbeddingTest, SumsTheGradientsOfEachIdAndLeavesPaddingAtZero) {
  Rig rig(embedding(4, 1, 0), {3});
  EXPECT_EQ(rig.params.find("weight")->value.data<float>()[0], 0);
  EXPECT_NE(rig.params.find("weight")->value.data<float>()[1], 0);
  rig.forward(ids_of({2, 3}, {1, 3, 1, 0, 0, 3}));
  const Tensor dy = host_tensor({2, 3, 1}, DType::kFloat32);
  for (int i = 0; i < 6; ++i) dy.data<float>()[i] = static_cast<float>(1 << i);
  EXPECT_FALSE(rig.backward(dy).defined());
  EXPECT_EQ(rig.reported["weight"], 1);
  EXPECT_THAT(list_of(rig.params.find("weight")->grad), ElementsAre(0, 5, 0, 34));
}

TEST(EmbeddingTest, AnIdOutsideTheTableIsNamedWithItsSample) {
  Rig rig(embedding(4, 2), {3});
  for (const std::int64_t wrong : {std::int64_t{4}, std::int64_t{-1}}) {
    // The rig's samples are 1000 and 1003 of their split.
    EXPECT_THAT(complaint([&] {
                  rig.forward(ids_of({2, 3}, {0, 1, 2, 3, wrong, 0}));
                }),
                AllOf(HasSubstr("sample 1003 of the split"), HasSubstr(fmt::format("{}", wrong)),
                      HasSubstr("position 1"), HasSubstr("0 to 3")));
  }
}

TEST(EmbeddingTest, StandsFirst) {
  auto net = std::make_unique<Sequential>();
  net->add_named<Linear>("fc", 3);
  net->add(embedding(4, 2), "tokens");
  EXPECT_THAT(complaint([&] { Rig rig(std::move(net), {3}); }),
              AllOf(HasSubstr("'tokens'"), HasSubstr("must stand first")));
}

TEST(EmbeddingTest, RefusesImpossibleOptionsAndSamples) {
  EXPECT_THAT(complaint([] { embedding(0, 2); }), HasSubstr("0 ids"));
  EXPECT_THAT(complaint([] { embedding(3, 2, 3); }), HasSubstr("padding id 3"));
  EXPECT_THAT(complaint([] { Rig rig(embedding(3, 2), {4, 4}); }), HasSubstr("(4, 4)"));
}

}  // namespace
}  // namespace lockstep
