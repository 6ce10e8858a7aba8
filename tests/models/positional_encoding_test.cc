// Positional encodings: the sinusoidal rows against the C library's sin and cos, learned rows by
// position, and gradients that pass them by.
#include "models/layers/positional_encoding.h"

#include "tests/models/rig.h"

namespace lockstep {
namespace {

TEST(PositionalEncodingTest, SinusoidalRowsAreThoseOfTheFormula) {
  for (const auto& [tokens, width] :
       {std::pair<std::int64_t, std::int64_t>{1, 1}, {3, 5}, {5000, 6}}) {
    const Tensor rows = sinusoidal_rows(tokens, width);
    for (std::int64_t t = 0; t < tokens; ++t) {
      for (std::int64_t c = 0; c < width; ++c) {
        const double frequency =
            std::pow(10000.0, -static_cast<double>(c / 2 * 2) / static_cast<double>(width));
        const double angle = static_cast<double>(t) * frequency;
        ASSERT_NEAR(rows.data<float>()[t * width + c],
                    c % 2 == 0 ? std::sin(angle) : std::cos(angle), 1e-7)
            << t << ", " << c << " of " << tokens << " x " << width;
      }
    }
  }
}

TEST(PositionalEncodingTest, AddsItsRowToEveryToken) {
  Random random;
  SCOPED_TRACE(fmt::format("seed {}", random.seed()));
  for (const PositionKind kind : {PositionKind::kSinusoidal, PositionKind::kLearned}) {
    Rig rig(std::make_unique<PositionalEncoding>(kind), {3, 2});
    const Tensor rows = kind == PositionKind::kLearned
                            ? Rig::copy_of(rig.params.find("weight")->value).view({3, 2})
                            : sinusoidal_rows(3, 2);
    const Tensor x = random.uniform({2, 3, 2}), y = rig.forward(x);
    for (std::size_t i = 0; i < 12; ++i)
      EXPECT_EQ(list_of(y)[i], list_of(x)[i] + list_of(rows)[i % 6]);
  }
}

TEST(PositionalEncodingTest, TakesSequencesAlone) {
  EXPECT_THROW(Rig(std::make_unique<PositionalEncoding>(PositionKind::kLearned), {3}), Error);
}

}  // namespace
}  // namespace lockstep
