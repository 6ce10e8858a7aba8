// data.augment: what the tables become, the text that comes back out, and the message of each
// mistake (tests/programs/augmentation.py has those that need data).
#include "runtime/config/augment_kinds.h"

#include <gtest/gtest.h>

#include "tests/error_of.h"

namespace lockstep {
namespace {

Config parse(const std::string& tables) {
  return parse_config("[model]\nnetwork = \"mlp\"\n" + tables, "a.toml");
}

std::string error_of_tables(const std::string& tables) {
  return error_of([&] { parse(tables); });
}

// The keys that a kind cannot do without.
std::string required(std::string_view kind) {
  if (kind == "random_crop") return "padding = 4\n";
  if (kind == "rotation") return "degrees = 10\n";
  if (kind == "affine") return "translate = 0.1\n";
  if (kind == "colour_jitter") return "brightness = 0.4\n";
  if (kind == "cutout") return "size = 8\n";
  return "";
}

TEST(AugmentKinds, EveryKindIsReadAndWrittenBack) {
  for (const AugmentKind& kind : augment_kinds()) {
    SCOPED_TRACE(std::string(kind.name));
    const Config config =
        parse(fmt::format("[[data.augment]]\nkind = \"{}\"\n{}", kind.name, required(kind.name)));
    const AugmentOptions options = read_augmentation(config.data);
    EXPECT_EQ(options.steps.size() + (options.mix.any() ? 1 : 0), 1u);
    const Config again = parse_config(to_toml(config), "again.toml");
    EXPECT_EQ(config.data.augment, again.data.augment);
    EXPECT_NE(mathematical_toml(config).find(kind.name), std::string::npos);
    EXPECT_NE(augment_kinds_help().find(kind.name), std::string::npos);
  }
  EXPECT_EQ(to_toml(parse("")).find("augment"), std::string::npos);
}

TEST(AugmentKinds, MixOptions) {
  const AugmentOptions options =
      read_augmentation(parse("[[data.augment]]\nkind = \"mixup\"\nalpha = 0.2\np = 0.5\n"
                              "[[data.augment]]\nkind = \"cutmix\"\n")
                            .data);
  EXPECT_EQ(options.mix.mixup_alpha, 0.2);
  EXPECT_EQ(options.mix.mixup_p, 0.5);
  EXPECT_EQ(options.mix.cutmix_alpha, 1);
  EXPECT_EQ(options.mix.cutmix_p, 1);
  EXPECT_EQ(options.mix_where, "a.toml:7: data.augment[1] (cutmix)");
}

TEST(AugmentKinds, MistakesAreNamed) {
  const auto error = [](const std::string& keys) {
    return error_of_tables("[[data.augment]]\n" + keys);
  };
  EXPECT_EQ(
      error("kind = \"flip\"\np = 1").find("a.toml:4: data.augment[0].kind: there is no 'flip'"),
      0u);
  EXPECT_EQ(error("kind = \"horizontal_flip\"\np = -1"),
            "a.toml:5: data.augment[0].p must be a number from 0 to 1, found the integer -1");
  EXPECT_EQ(error("kind = \"horizontal_flip\"\nq = 1"),
            "a.toml:5: unknown key data.augment[0].q (did you mean 'p'?); the kind "
            "'horizontal_flip' has kind, p");
  EXPECT_EQ(error("kind = \"random_resized_crop\"\nratio = 1"),
            "a.toml:5: data.augment[0].ratio must be two numbers: [least, most]");
  EXPECT_EQ(error("kind = \"random_erasing\"\nvalue = [1, \"x\"]")
                .find("a.toml:5: data.augment[0].value must be a number from"),
            0u);
  EXPECT_EQ(error("kind = \"affine\"").find("a.toml:4: data.augment[0].kind does nothing"), 0u);
  EXPECT_NE(error("kind = \"affine\"\ntranslate = [0.1, 0.1, 0.1]").find("[x, y]"),
            std::string::npos);
  EXPECT_NE(error_of_tables("[data]\naugment = 3").find("a list of tables"), std::string::npos);
  EXPECT_NE(error_of_tables("[data]\ncopies = 2").find("'data.copies' without"), std::string::npos);
}

}  // namespace
}  // namespace lockstep
