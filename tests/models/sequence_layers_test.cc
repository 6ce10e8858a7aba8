// What layers of sequences refuse, the names of their parameters, that attention's masks hide what
// comes later and what is padding, and dropout between recurrent layers.
#include <gmock/gmock.h>

#include "models/layers/dropout.h"
#include "models/layers/mean_tokens.h"
#include "models/layers/multihead_attention.h"
#include "models/layers/recurrent.h"
#include "models/layers/sequential.h"
#include "tests/error_of.h"
#include "tests/models/rig.h"

namespace lockstep {
namespace {

using testing::HasSubstr;

std::unique_ptr<UnaryLayer> lstm(const RecurrentOptions& options) {
  return std::make_unique<Recurrent>(options);
}

std::unique_ptr<UnaryLayer> attention(std::int64_t heads, bool causal) {
  return std::make_unique<MultiheadAttention>(AttentionOptions{.heads = heads, .causal = causal});
}

// Twice as many tokens, which no id stands for.
class Doubled final : public UnaryLayer {
 public:
  Shape build(Build&, const Shape& in) override { return {2 * in[0], in[1]}; }
  Tensor forward(const Pass&, const Tensor& x) override { return x; }
  Tensor backward(const Pass&, const Tensor& dy) override { return dy; }
};

TEST(SequenceLayers, RefuseWhatIsNoSequence) {
  EXPECT_THAT(error_of([] { Rig rig(lstm({.hidden = 2}), {5}); }), HasSubstr("(T, C), not (5)"));
  EXPECT_THAT(error_of([] { Rig rig(attention(1, false), {5}); }), HasSubstr("(T, C), not (5)"));
  EXPECT_THAT(error_of([] {
                Rig rig(attention(4, false), {5, 6});
              }),
              HasSubstr("4 heads do not divide the 6 columns"));
  EXPECT_THAT(error_of([] { lstm({.hidden = 0}); }), HasSubstr("at least 1"));
  EXPECT_THAT(error_of([] { lstm({.hidden = 2, .layers = 2, .dropout = 1}); }),
              HasSubstr("[0, 1)"));
  EXPECT_THAT(error_of([] {
                Rig rig(std::make_unique<MeanTokens>(3), {4, 2});
              }),
              HasSubstr("padding 3 is no id of the embedding, which has 0 to 2"));
  EXPECT_THAT(error_of([] {  // five tokens become ten before the attention
                auto net = std::make_unique<Sequential>();
                net->add_named<Doubled>("twice");
                net->add(std::make_unique<MultiheadAttention>(AttentionOptions{.padding = 0}));
                Rig rig(std::move(net), {5, 2});
              }),
              HasSubstr("one for each of the 10 tokens"));
  EXPECT_THAT(error_of([] { attention(0, false); }), HasSubstr("0 heads"));
}

TEST(SequenceLayers, RecurrentParametersHaveTorchsNamesAndShapes) {
  Rig rig(lstm({.hidden = 3, .layers = 2, .bidirectional = true, .sequence = true}), {4, 2});
  EXPECT_EQ(rig.output, (Shape{4, 6}));
  EXPECT_EQ(rig.params.all().size(), 16u);
  EXPECT_EQ(rig.params.find("weight_ih_l0")->spec.file_shape, (Shape{12, 2}));
  EXPECT_EQ(rig.params.find("weight_hh_l0_reverse")->spec.file_shape, (Shape{12, 3}));
  EXPECT_EQ(rig.params.find("weight_ih_l1_reverse")->spec.file_shape, (Shape{12, 6}));
  EXPECT_EQ(rig.params.find("bias_hh_l1")->spec.file_shape, (Shape{12}));
}

TEST(SequenceLayers, CausalAttentionSeesNothingThatComesLater) {
  Random random;
  SCOPED_TRACE(fmt::format("seed {}", random.seed()));
  for (const bool causal : {false, true}) {
    Rig rig(attention(2, causal), {6, 4});
    Tensor x = random.uniform({2, 6, 4});
    const std::vector<float> before = list_of(rig.forward(x));
    for (std::size_t i = 4 * 4; i < 24; ++i) x.span<float>()[i] += 1;  // tokens 4 and 5 of sample 0
    const std::vector<float> after = list_of(rig.forward(x));
    const auto unchanged = [&](std::size_t first, std::size_t last) {
      return std::equal(before.begin() + static_cast<std::ptrdiff_t>(first),
                        before.begin() + static_cast<std::ptrdiff_t>(last),
                        after.begin() + static_cast<std::ptrdiff_t>(first));
    };
    EXPECT_EQ(unchanged(0, 16), causal);
    EXPECT_FALSE(unchanged(16, 24));
    EXPECT_TRUE(unchanged(24, 48));  // samples do not see one another
  }
}

TEST(SequenceLayers, NothingDependsOnPadding) {
  Random random;
  SCOPED_TRACE(fmt::format("seed {}", random.seed()));
  constexpr std::int64_t kPadding = 1;
  auto net = std::make_unique<Sequential>();
  net->add(std::make_unique<MultiheadAttention>(AttentionOptions{.heads = 2, .padding = kPadding}));
  net->add(std::make_unique<MeanTokens>(kPadding));
  Rig rig(std::move(net), {6, 4});
  Tensor x = random.uniform({3, 6, 4});
  const std::vector<float> before = list_of(rig.forward(x));
  const Tensor ids = rig.token_ids(3);
  for (std::int64_t i = 0; i < 18; ++i)
    for (std::int64_t c = 0; c < 4 && ids.data<std::int64_t>()[i] == kPadding; ++c)
      x.data<float>()[i * 4 + c] += 1;
  EXPECT_EQ(list_of(rig.forward(x)), before);
  const Tensor dx = rig.backward(random.uniform({3, 4}));
  for (std::int64_t i = 0; i < 18; ++i)
    for (std::int64_t c = 0; c < 4; ++c)
      EXPECT_EQ(dx.data<float>()[i * 4 + c] == 0, ids.data<std::int64_t>()[i] == kPadding);
}

// Two levels with dropout between them are the dropout layer between two layers, to the bit.
TEST(SequenceLayers, DropoutBetweenLevelsIsThatOfTheLayer) {
  Random random;
  SCOPED_TRACE(fmt::format("seed {}", random.seed()));
  const Shape sample{5, 3};
  Rig whole(lstm({.hidden = 4, .layers = 2, .sequence = true, .dropout = 0.3}), sample);
  auto net = std::make_unique<Sequential>();
  net->add_named<Recurrent>("first", RecurrentOptions{.hidden = 4, .sequence = true});
  net->add_named<Dropout>("drop", 0.3);
  net->add_named<Recurrent>("second", RecurrentOptions{.hidden = 4, .sequence = true});
  Rig parts(std::move(net), sample);
  for (const Param& param : whole.params.all()) {
    const bool first = param.name.ends_with("_l0");
    const std::string name =
        (first ? "first." : "second.") + param.name.substr(0, param.name.size() - 1) + "0";
    ASSERT_NE(parts.params.find(name), nullptr) << name;
    std::ranges::copy(param.value.span<float>(),
                      parts.params.find(name)->value.span<float>().begin());
  }
  const Tensor x = random.uniform(sample.with_rows(4)), dy = random.uniform({4, 5, 4});
  const std::vector<float> y = list_of(whole.forward(x));
  EXPECT_EQ(y, list_of(parts.forward(x)));
  EXPECT_EQ(list_of(whole.backward(Rig::copy_of(dy))), list_of(parts.backward(Rig::copy_of(dy))));

  // The mask goes by the sample, wherever its shard begins and ends.
  const std::vector<float> head = list_of(whole.forward(x.head(2)));
  EXPECT_TRUE(std::equal(head.begin(), head.end(), y.begin()));

  Rig plain(lstm({.hidden = 4, .layers = 2, .sequence = true}), sample);
  EXPECT_EQ(list_of(whole.forward(x, false)), list_of(plain.forward(x, false)));
  EXPECT_NE(y, list_of(plain.forward(x)));
}

}  // namespace
}  // namespace lockstep
