// Outputs of a network against classes of data: too few name the key that set them, too many are
// told in one line.
#include "runtime/run/class_check.h"

#include <gtest/gtest.h>

#include "tests/error_of.h"

namespace lockstep {
namespace {

ClassCheck of(LossKind loss, std::int64_t classes) {
  return {loss, classes, "d.h5 /train"};
}

std::string message(const std::string& model, const ClassCheck& check, std::int64_t outputs) {
  const Config config = parse_config("[model]\n" + model, "net.toml");
  return error_of([&] { check_trained_outputs(check, config.model.table, outputs); });
}

void expect_words(const std::string& text, const std::vector<std::string>& words) {
  for (const std::string& word : words)
    EXPECT_NE(text.find(word), std::string::npos) << word << " is not in: " << text;
}

TEST(ClassCheck, TooFewOutputsNameTheLayerAndItsKey) {
  const ClassCheck three = of(LossKind::kCrossEntropy, 3);
  const std::string layers =
      "[[model.layers]]\nkind = \"linear\"\nfeatures = 4\n"
      "[[model.layers]]\nkind = \"linear\"\nfeatures = 2\n";
  expect_words(message(layers, three, 2), {"net.toml:7: model.layers[1].features = 2", "2 outputs",
                                           "3 classes", "d.h5 /train", "set it to 3"});
  EXPECT_EQ(message(layers, three, 3), "");
  EXPECT_EQ(message(layers, three, 4), "");
  const std::string maxout = layers + "[[model.layers]]\nkind = \"maxout\"\n";
  expect_words(message(maxout, three, 1),
               {"net.toml:8: model.layers[2], the last layer", "1 output,", "3 classes", "linear"});
}

TEST(ClassCheck, TooFewOutputsNameTheKeyOfTheNetwork) {
  const ClassCheck three = of(LossKind::kCrossEntropy, 3);
  expect_words(message("network = \"mlp\"\noutputs = 2\n", three, 2),
               {"net.toml:3: model.outputs = 2", "3 classes", "leave it out"});
  expect_words(message("network = \"own\"\noutputs = 3\n", three, 2),
               {"model.network", "2 outputs"});
}

TEST(ClassCheck, OneOutputIsOfTwoClassesButForCrossEntropy) {
  for (const LossKind loss : {LossKind::kHinge, LossKind::kBinaryCrossEntropy}) {
    EXPECT_EQ(message("network = \"mlp\"\n", of(loss, 2), 1), "");
    EXPECT_NE(message("network = \"mlp\"\n", of(loss, 3), 1), "");
    EXPECT_EQ(spare_outputs_note(of(loss, 2), 1), "");
    EXPECT_EQ(spare_outputs_note(of(loss, 1), 1), "");
  }
  EXPECT_EQ(message("network = \"mlp\"\n", of(LossKind::kHinge, 2), 2), "");
  EXPECT_NE(message("network = \"mlp\"\n", of(LossKind::kHinge, 3), 2), "");
  EXPECT_NE(message("network = \"mlp\"\n", of(LossKind::kCrossEntropy, 2), 1), "");
}

TEST(ClassCheck, SpareOutputsAreTold) {
  for (const LossKind loss : {LossKind::kHinge, LossKind::kCrossEntropy}) {
    expect_words(spare_outputs_note(of(loss, 3), 5), {"has 5", "3 classes", "d.h5 /train"});
    EXPECT_EQ(spare_outputs_note(of(loss, 3), 3), "");
  }
}

TEST(ClassCheck, EvaluationIsOfTheClassesTrainedFor) {
  const ClassCheck three = of(LossKind::kCrossEntropy, 3);
  expect_words(error_of([&] { check_evaluated_outputs(three, 2); }),
               {"2 outputs", "3 classes", "d.h5 /train", "trained for"});
  EXPECT_EQ(error_of([&] { check_evaluated_outputs(three, 3); }), "");
}

}  // namespace
}  // namespace lockstep
