// What layers of sequences refuse, the names of their parameters, and that attention's mask hides
// what comes later.
#include <gmock/gmock.h>

#include "models/layers/multihead_attention.h"
#include "models/layers/recurrent.h"
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

template <typename Work>
std::string complaint(Work work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(SequenceLayers, RefuseWhatIsNoSequence) {
  EXPECT_THAT(complaint([] { Rig rig(lstm({.hidden = 2}), {5}); }), HasSubstr("(T, C), not (5)"));
  EXPECT_THAT(complaint([] { Rig rig(attention(1, false), {5}); }), HasSubstr("(T, C), not (5)"));
  EXPECT_THAT(complaint([] {
                Rig rig(attention(4, false), {5, 6});
              }),
              HasSubstr("4 heads do not divide the 6 columns"));
  EXPECT_THAT(complaint([] { lstm({.hidden = 0}); }), HasSubstr("at least 1"));
  EXPECT_THAT(complaint([] { attention(0, false); }), HasSubstr("0 heads"));
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

}  // namespace
}  // namespace lockstep
