// The zoo: every network's parameters under PyTorch's names and shapes, its keys, its messages; and
// [model.initial].
#include "models/zoo.h"

#include "models/initial_values.h"
#include "tests/error_of.h"
#include "tests/models/network_keys.h"
#include "tests/models/rig.h"

namespace lockstep {
namespace {

std::string described(const ParamSet& params) {
  std::string text;
  for (const Param& param : params.all())
    text += fmt::format("{} {}\n", param.name, param.spec.file_shape.to_string());
  return text;
}

// Whose parameters' names and shapes are tested against timm's: vision_golden_test.cc.
bool is_vision(const NetworkEntry& entry) {
  return std::ranges::any_of(entry.keys,
                             [](const NetworkKey& key) { return key.name == "image_size"; });
}

struct Expected {
  const char* network;
  std::map<std::string, ConfigValue> keys;
  Shape sample;
  std::int64_t outputs;
  const char* parameters;
};

TEST(Zoo, NetworksHavePyTorchsNamesAndShapes) {
  const std::vector<Expected> list = {
      {"linear", {}, {2}, 1, "fc.weight (1, 2)\nfc.bias (1)\n"},
      {"linear", {{"bias", {false}}}, {2, 3}, 1, "fc.weight (1, 6)\n"},
      {"logistic", {}, {8, 8, 1}, 10, "fc.weight (10, 64)\nfc.bias (10)\n"},
      {"mlp",
       {},
       {28, 28, 1},
       10,
       "fc1.weight (128, 784)\nfc1.bias (128)\nfc2.weight (10, 128)\nfc2.bias (10)\n"},
      {"mlp",
       {{"widths", widths({5, 4})},
        {"bias", {false}},
        {"dropout", {0.5}},
        {"activation", {std::string("tanh")}}},
       {},
       2,
       "fc1.weight (5, 1)\nfc2.weight (4, 5)\nfc3.weight (2, 4)\n"},
      {"mlp", {{"widths", widths({})}}, {3}, 2, "fc1.weight (2, 3)\nfc1.bias (2)\n"},
      {"lenet",
       {},
       {28, 28, 1},
       10,
       "conv1.weight (6, 1, 5, 5)\nconv1.bias (6)\nconv2.weight (16, 6, 5, 5)\nconv2.bias (16)\n"
       "fc1.weight (120, 400)\nfc1.bias (120)\nfc2.weight (84, 120)\nfc2.bias (84)\n"
       "fc3.weight (10, 84)\nfc3.bias (10)\n"},
      {"lenet",
       {},
       {32, 36, 3},
       2,
       "conv1.weight (6, 3, 5, 5)\nconv1.bias (6)\nconv2.weight (16, 6, 5, 5)\nconv2.bias (16)\n"
       "fc1.weight (120, 480)\nfc1.bias (120)\nfc2.weight (84, 120)\nfc2.bias (84)\n"
       "fc3.weight (2, 84)\nfc3.bias (2)\n"},
      {"cnn",
       {},
       {28, 28},
       10,
       "conv1.weight (16, 1, 5, 5)\nconv1.bias (16)\nconv2.weight (32, 16, 5, 5)\nconv2.bias (32)\n"
       "fc1.weight (128, 1568)\nfc1.bias (128)\nfc2.weight (10, 128)\nfc2.bias (10)\n"},
      {"cnn",
       {{"batch_norm", {true}}, {"dropout", {0.25}}},
       {8, 8, 3},
       4,
       "conv1.weight (16, 3, 5, 5)\nconv1.bias (16)\nbn1.weight (16)\nbn1.bias (16)\n"
       "bn1.running_mean (16)\nbn1.running_var (16)\nconv2.weight (32, 16, 5, 5)\n"
       "conv2.bias (32)\nbn2.weight (32)\nbn2.bias (32)\nbn2.running_mean (32)\n"
       "bn2.running_var (32)\nfc1.weight (128, 128)\nfc1.bias (128)\nfc2.weight (4, 128)\n"
       "fc2.bias (4)\n"},
      {"quadratic", {}, {1}, 1, "a (1)\nb (1)\nc (1)\n"},
      {"layers",
       {{"layers",
         {ConfigValue::Array{{ConfigTable{{{"kind", {{std::string("linear")}, ""}}}, ""}}}}}},
       {3},
       2,
       "0.weight (2, 3)\n0.bias (2)\n"},
  };
  for (const Expected& one : list) {
    SCOPED_TRACE(one.network);
    Rig rig(make_network(one.network, keys_from(one.keys), {one.sample, one.outputs}), one.sample,
            {.max_rows = 2, .input_gradient = false});
    EXPECT_EQ(described(rig.params), one.parameters);
    EXPECT_EQ(rig.output, Shape{one.outputs});
    std::int64_t parameters = 0;
    for (const Build::Row& row : rig.build.table) parameters += row.parameters;
    EXPECT_EQ(parameters, rig.params.count(ParamKind::kTrainable));
    for (const Param& param : rig.params.all())
      EXPECT_EQ(param.spec.weight_decay, param.spec.file_shape.rank() > 1) << param.name;
  }
  for (const NetworkEntry& entry : networks()) {
    if (is_vision(entry)) continue;
    EXPECT_TRUE(
        std::ranges::any_of(list, [&](const Expected& one) { return entry.name == one.network; }))
        << entry.name << " is not in this test's list";
  }
}

TEST(Zoo, TheTableNamesTheKeysThatBuildersRead) {
  for (const NetworkEntry& entry : networks()) {
    ModelTable keys;
    keys.set("no_such_key", {{true}, "test.toml:7"});
    for (const NetworkKey& key : entry.keys) {
      // Every key of the table is read: a value of the wrong type is refused by name.
      const ModelTable wrong = keys_from({{std::string(key.name), {ConfigValue::Array{{true}}}}});
      const std::string message = error_of([&] {
        make_network(std::string(entry.name), wrong, {Shape{28, 28, 1}, 10});
      });
      EXPECT_NE(message.find(std::string(key.name)), std::string::npos) << message;
      EXPECT_EQ(message.find("unknown"), std::string::npos) << message;
    }
    EXPECT_NE(networks_help().find(std::string(entry.name)), std::string::npos);
  }
}

TEST(Zoo, MessagesSayWhatIsWrongAndWhere) {
  const NetworkInput image{Shape{28, 28, 1}, 10};
  const auto expect = [](const std::string& message, std::vector<const char*> parts) {
    for (const char* part : parts)
      EXPECT_NE(message.find(part), std::string::npos) << "'" << part << "' in: " << message;
  };
  expect(error_of([&] { make_network("lennet", {}, image); }), {"lennet", "'lenet'", "mlp"});
  expect(error_of([&] {
           make_network("mlp", keys_from({{"width", widths({3})}}), image);
         }),
         {"test.toml:7", "model.width", "model.widths"});
  expect(error_of([&] {
           make_network("cnn", keys_from({{"widths", widths({3})}}), image);
         }),
         {"test.toml:7", "model.widths"});
  expect(error_of([&] {
           make_network("mlp", keys_from({{"widths", widths({8, 0})}}), image);
         }),
         {"test.toml:7", "model.widths", "0"});
  const auto resnet_with = [&](const char* key, ConfigValue value) {
    return error_of([&] { make_network("resnet18", keys_from({{key, value}}), image); });
  };
  expect(resnet_with("num_classes", {std::int64_t{1000}}),
         {"test.toml:7", "model.num_classes", "1000", "10"});
  expect(resnet_with("in_channels", {std::int64_t{3}}),
         {"test.toml:7", "model.in_channels", "3", "(28, 28, 1)"});
  expect(resnet_with("image_size", {std::int64_t{224}}),
         {"test.toml:7", "model.image_size", "224", "28 x 28"});
  expect(resnet_with("image_size", {std::int64_t{0}}), {"test.toml:7", "model.image_size", "0"});
  expect(resnet_with("drop_path", {1.0}), {"test.toml:7", "model.drop_path", "[0, 1)"});
  expect(resnet_with("stem", {std::string("cifar10")}),
         {"test.toml:7", "model.stem", "cifar10", "\"cifar\""});
  expect(error_of([&] {
           make_network("resnet18", {}, {Shape{4}, 10});
         }),
         {"resnet18", "images", "(4)"});
  expect(error_of([&] {
           make_network("mlp", keys_from({{"dropout", {1.0}}}), image);
         }),
         {"test.toml:7", "model.dropout", "[0, 1)"});
  expect(error_of([&] {
           make_network("mlp", keys_from({{"activation", {std::string("rely")}}}), image);
         }),
         {"test.toml:7", "rely", "relu, sigmoid, tanh", "gelu"});
  expect(error_of([&] { make_network("lenet", {}, {Shape{784}, 10}); }), {"lenet", "mlp"});
  expect(error_of([&] {
           Rig rig(make_network("lenet", {}, {Shape{8, 8, 1}, 10}), {8, 8, 1});
         }),
         {"conv2", "fit"});
}

TEST(InitialValues, FillNamedParametersInFileOrder) {
  Rig rig(make_network("linear", {}, {Shape{3}, 2}), {3}, {.input_gradient = false});
  set_initial_values(*rig.backend, rig.params,
                     {{"fc.weight", {{2, 3}, {1, 2, 3, 4, 5, 6}, "a.toml:3"}},
                      {"fc.bias", {{}, {0.25}, "a.toml:4"}}});
  Tensor x = host_tensor({1, 3}, DType::kFloat32);
  std::ranges::copy(std::vector<float>{1, 10, 100}, x.span<float>().begin());
  EXPECT_EQ(list_of(rig.forward(x)), (std::vector<float>{321.25f, 654.25f}));

  const auto message = [&](const char* name, InitialValue value) {
    return error_of([&] { set_initial_values(*rig.backend, rig.params, {{name, value}}); });
  };
  const std::string unknown = message("fc.wieght", {{}, {1}, "a.toml:5"});
  EXPECT_NE(unknown.find("a.toml:5"), std::string::npos) << unknown;
  EXPECT_NE(unknown.find("did you mean 'fc.weight'"), std::string::npos) << unknown;
  const std::string shape = message("fc.weight", {{3, 2}, {1, 2, 3, 4, 5, 6}, "a.toml:6"});
  EXPECT_NE(shape.find("a.toml:6"), std::string::npos) << shape;
  EXPECT_NE(shape.find("(2, 3)"), std::string::npos) << shape;
  EXPECT_NE(shape.find("(3, 2)"), std::string::npos) << shape;
}

}  // namespace
}  // namespace lockstep
