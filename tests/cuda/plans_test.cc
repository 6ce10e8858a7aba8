// cuDNN has a plan for every convolution that the configs in launch/configs ask for, in all passes,
// both types and the shards' sizes: built for a GPU that is only described (h200.json), so that a
// geometry which cuDNN does not support shows without one.
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "kernels/cpu/backend_impl.h"
#include "kernels/cuda/conv_channels.h"
#include "kernels/cuda/conv_depthwise.h"
#include "kernels/cuda/cudnn_plan.h"
#include "launch/networks.h"
#include "runtime/communication/shard_plan.h"
#include "tests/error_of.h"

namespace lockstep::gpu {
namespace {

constexpr std::int64_t kMinShardRows = 64;  // of run.shards = "auto" on a GPU

std::string text_of_file(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

const PlanTarget& h200() {
  static const PlanTarget target(text_of_file(SOURCE_FOLDER "/tests/cuda/h200.json"));
  return target;
}

// Notes what layers ask of it as they are built.
class RecordingBackend final : public CpuBackend {
 public:
  RecordingBackend() : CpuBackend(Isa::kGeneric, Products::kFloat32) {}
  std::int64_t conv_packed_elements(const ConvGeometry& g, bool data_gradient) override {
    if (!is_depthwise(g)) geometries.push_back(g);
    return CpuBackend::conv_packed_elements(g, data_gradient);
  }
  std::vector<ConvGeometry> geometries;
};

struct Input {
  Shape sample;
  std::int64_t outputs;
};

// Of the networks with convolutions: their data are not in the tree.
const std::map<std::string, Input> kInputs{
    {"fashion-mnist-cnn.toml", {{28, 28, 1}, 10}},
    {"course/mnist-cnn.toml", {{28, 28, 1}, 10}},
    {"course/augmented-digits.toml", {{8, 8, 1}, 10}},
    {"course/convolution-stack.toml", {{32, 32, 3}, 4}},
    {"course/pets-resnet34.toml", {{224, 224, 3}, 37}},
    {"course/pets-efficientnet.toml", {{224, 224, 3}, 37}},
    {"course/pets-convnext.toml", {{224, 224, 3}, 37}},
};

std::vector<ConvQuestion> questions_of(const std::string& name, const Input& input) {
  const Config config = load_config(SOURCE_FOLDER "/launch/configs/" + name);
  RecordingBackend backend;
  const auto stream = backend.make_stream(0);
  Blueprint blueprint;
  blueprint.sample = input.sample;
  blueprint.make_network = [&] {
    return all_networks({}).make(config, input.sample, input.outputs);
  };
  const Replica replica(blueprint, 1, backend, *stream);

  const std::int64_t batch = config.training.batch, shards = auto_shards(batch, kMinShardRows);
  std::map<ConvQuestion::Key, ConvQuestion> questions;
  for (const ConvGeometry& geometry : backend.geometries)
    for (const std::int64_t images : {batch / shards, (batch + shards - 1) / shards})
      for (const DType type : {DType::kFloat32, DType::kBFloat16})
        for (const ConvPass pass : {ConvPass::kForward, ConvPass::kForwardBias,
                                    ConvPass::kBackwardData, ConvPass::kBackwardWeights}) {
          // The library adds a bias to float32 alone.
          if (pass == ConvPass::kForwardBias && type != DType::kFloat32) continue;
          const ConvQuestion question{
              pass, {padded_channels(geometry, type), images, type}, Float32Products::kStrict};
          questions.emplace(question.key(), question);
        }
  std::vector<ConvQuestion> list;
  for (const auto& [key, question] : questions) list.push_back(question);
  return list;
}

class PlansOfConfig : public testing::TestWithParam<std::pair<const std::string, Input>> {};

TEST_P(PlansOfConfig, AllThere) {
  const std::vector<ConvQuestion> questions = questions_of(GetParam().first, GetParam().second);
  EXPECT_GT(questions.size(), 0U);
  std::size_t largest = 0;
  for (const ConvQuestion& question : questions)
    EXPECT_EQ(error_of([&] {
                largest = std::max(largest, ConvPlan(question, h200()).workspace_bytes());
              }),
              "");
  std::printf("%zu plans, the largest workspace %.1f MiB\n", questions.size(),
              static_cast<double>(largest) / (1 << 20));
}

INSTANTIATE_TEST_SUITE_P(Configs, PlansOfConfig, testing::ValuesIn(kInputs), [](const auto& info) {
  std::string name = std::filesystem::path(info.param.first).stem();
  std::ranges::replace(name, '-', '_');
  return name;
});

TEST(Plans, NoConfigWithConvolutionsIsForgotten) {
  const std::filesystem::path root = SOURCE_FOLDER "/launch/configs";
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.path().extension() != ".toml") continue;
    const std::string name = entry.path().lexically_relative(root);
    const Config config = load_config(entry.path());
    const std::string text = text_of_file(entry.path());
    const bool convolves = text.find("\"conv") != std::string::npos ||
                           std::set<std::string>{"cnn",      "resnet18",        "resnet34",
                                                 "resnet50", "efficientnet_b0", "convnext_tiny"}
                               .contains(config.model.network);
    EXPECT_EQ(convolves, kInputs.contains(name)) << name;
  }
}

// A choice of engines that differed from build to build would differ from rank to rank.
TEST(Plans, TheSameEngineEveryTime) {
  const ConvQuestion question{ConvPass::kBackwardWeights,
                              {{.in_h = 56,
                                .in_w = 56,
                                .in_c = 64,
                                .out_c = 64,
                                .kernel_h = 3,
                                .kernel_w = 3,
                                .pad_h = 1,
                                .pad_w = 1},
                               64,
                               DType::kBFloat16},
                              Float32Products::kStrict};
  const std::string first = ConvPlan(question, h200()).json();
  EXPECT_GT(first.size(), 0U);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ConvPlan(question, h200()).json(), first);
}

// What a run's folder keeps of a plan makes the same plan again.
TEST(Plans, AChoiceMakesItsPlanAgain) {
  for (const ConvPass pass :
       {ConvPass::kForward, ConvPass::kBackwardData, ConvPass::kBackwardWeights}) {
    const ConvQuestion question{pass,
                                {{.in_h = 56,
                                  .in_w = 56,
                                  .in_c = 64,
                                  .out_c = 128,
                                  .kernel_h = 3,
                                  .kernel_w = 3,
                                  .stride_h = 2,
                                  .stride_w = 2,
                                  .pad_h = 1,
                                  .pad_w = 1},
                                 64,
                                 DType::kBFloat16},
                                Float32Products::kStrict};
    const ConvPlan plan(question, h200());
    const ConvPlan again(question, h200(), plan.choice());
    EXPECT_EQ(again.choice(), plan.choice());
    EXPECT_EQ(again.json(), plan.json());
    EXPECT_EQ(again.workspace_bytes(), plan.workspace_bytes());
    const ConvPlan other(question, h200(), R"({"engineId":0,"smVersion":900,"knobChoices":{}})");
    EXPECT_NE(other.choice(), plan.choice());
    for (const char* damaged : {R"({"engineId":999999,"smVersion":900,"knobChoices":{}})", "{"})
      EXPECT_THAT(error_of([&] { ConvPlan(question, h200(), damaged); }),
                  testing::AllOf(testing::HasSubstr("cannot take the plan"),
                                 testing::HasSubstr(question.text()), testing::HasSubstr(damaged)));
  }
}

TEST(Plans, AnUnsupportedGeometryIsNamedWithItsEngines) {
  // More channels a group than the image has.
  const ConvQuestion question{ConvPass::kForward,
                              {{.in_h = 8,
                                .in_w = 8,
                                .in_c = 6,
                                .out_c = 9,
                                .kernel_h = 9,
                                .kernel_w = 9,
                                .stride_h = 3,
                                .dilation_h = 40},
                               4,
                               DType::kBFloat16},
                              Float32Products::kStrict};
  const std::string error = error_of([&] { ConvPlan(question, h200()); });
  EXPECT_THAT(error, testing::HasSubstr("cuDNN"));
}

TEST(Plans, AGpuThatIsNotDescribedWellIsRefused) {
  EXPECT_THAT(error_of([] { PlanTarget target("{\"deviceVer\": 900"); }),
              testing::HasSubstr("the description of a GPU"));
}

TEST(ConvQuestion, KeysDifferWhereQuestionsDo) {
  const ConvQuestion base{ConvPass::kForward,
                          {{.in_h = 8, .in_w = 8, .in_c = 4, .out_c = 4}, 2},
                          Float32Products::kStrict};
  std::vector<ConvQuestion> others(9, base);
  others[0].pass = ConvPass::kBackwardData;
  others[1].convolution.images = 3;
  others[2].convolution.type = DType::kBFloat16;
  others[3].products = Float32Products::kTf32;
  others[4].convolution.geometry.direct = true;
  others[5].convolution.geometry.dilation_w = 2;
  others[6].convolution.geometry.dilation_h = 2;
  others[7].convolution.geometry.groups = 2;
  others[8].convolution.geometry.pad_w = 1;
  std::set<ConvQuestion::Key> keys{base.key()};
  std::set<std::string> texts{base.text()};
  for (const ConvQuestion& other : others) {
    EXPECT_TRUE(keys.insert(other.key()).second) << other.text();
    EXPECT_TRUE(texts.insert(other.text()).second) << other.text();
  }
}

}  // namespace
}  // namespace lockstep::gpu
