// Networks that a config lists layer by layer: names, defaults, nesting, and the place that every
// message names.
#include "models/layer_kinds.h"

#include "models/zoo.h"
#include "tests/error_of.h"
#include "tests/models/rig.h"

namespace lockstep {
namespace {

Config config_of(const std::string& layers) {
  return parse_config("[model]\n" + layers, "net.toml");
}

Network network_of(const std::string& layers, const Shape& sample, std::int64_t outputs) {
  const Config config = config_of(layers);
  return make_network(config.model.network, config.model.table, {sample, outputs});
}

std::string described(const std::string& layers, const Shape& sample, std::int64_t outputs) {
  Rig rig(network_of(layers, sample, outputs), sample, {.input_gradient = false});
  std::string text;
  for (const Param& param : rig.params.all())
    text += fmt::format("{} {}\n", param.name, param.spec.file_shape.to_string());
  return text + rig.output.to_string();
}

std::string message_of(const std::string& layers, const Shape& sample = {4}) {
  return error_of([&] { Rig rig(network_of(layers, sample, 2), sample); });
}

TEST(LayerKinds, NamesAreThoseOfSequentialUnlessGiven) {
  EXPECT_EQ(described(R"(
layers = [
  { kind = "linear", features = 8, bias = false },
  { kind = "relu" },
  { kind = "linear", name = "out" },
  { kind = "softmax" },
])",
                      {4}, 3),
            "0.weight (8, 4)\nout.weight (3, 8)\nout.bias (3)\n(3)");
}

TEST(LayerKinds, TablesOfAFileAreTheSameList) {
  const std::string tables = R"(
[[model.layers]]
kind = "conv2d"
channels = 6
kernel = [3, 1]
padding = [1, 0]
stride = 2
[[model.layers]]
kind = "max_pool"
[[model.layers]]
kind = "flatten"
[[model.layers]]
kind = "linear"
)";
  EXPECT_EQ(described(tables, {8, 6, 2}, 5),
            "0.weight (6, 2, 3, 1)\n0.bias (6)\n3.weight (5, 12)\n3.bias (5)\n(5)");
  const Config config = config_of(tables);
  const Config again = parse_config(to_toml(config), "again.toml");
  EXPECT_EQ(mathematical_toml(again), mathematical_toml(config));
  EXPECT_TRUE(differing_mathematical_keys(config, again).empty());
}

TEST(LayerKinds, BlocksNest) {
  EXPECT_EQ(
      described(R"(
[[model.layers]]
kind = "residual"
name = "block"
layers = [{ kind = "linear", features = 4 },
          { kind = "residual", layers = [{ kind = "tanh" }] }]
shortcut = [{ kind = "linear", features = 4, name = "match" }]
[[model.layers]]
kind = "linear"
)",
                {3}, 2),
      "block.main.0.weight (4, 3)\nblock.main.0.bias (4)\nblock.shortcut.match.weight (4, 3)\n"
      "block.shortcut.match.bias (4)\n1.weight (2, 4)\n1.bias (2)\n(2)");
}

TEST(LayerKinds, BranchesRunSideBySide) {
  const std::string branches =
      "layers = [{ kind = \"parallel\", branches = [[{ kind = \"linear\", features = 3 }], [], "
      "[{ kind = \"relu\" }, { kind = \"linear\", features = 5, bias = false }]] }]";
  EXPECT_EQ(described(branches, {4}, 1),
            "0.0.0.weight (3, 4)\n0.0.0.bias (3)\n0.2.1.weight (5, 4)\n(12)");
  EXPECT_EQ(message_of("layers = [{ kind = \"parallel\", join = \"add\", branches = [[], [{ kind = "
                       "\"linear\", features = 3 }]] }]"),
            "net.toml:2: model.layers[0]: layer '0' (parallel): branch 0 gives (4), branch 1 gives "
            "(3); they must agree");
  EXPECT_EQ(message_of("layers = [{ kind = \"parallel\", branches = [[]] }]"),
            "net.toml:2: model.layers[0].branches must be a list of at least two lists of layers; "
            "an empty one passes its input on");
  EXPECT_EQ(message_of("layers = [{ kind = \"parallel\", branches = [[], [{ kind = \"dropout\", "
                       "p = 2 }]] }]"),
            "net.toml:2: model.layers[0].branches[1][0].p must be a number of at least 0 and below "
            "1, found the integer 2");
  // A flattened image beside something else: files and memory would order its columns otherwise.
  EXPECT_NE(message_of("layers = [{ kind = \"parallel\", branches = [[{ kind = \"flatten\" }], "
                       "[{ kind = \"global_avg_pool\" }]] }]",
                       {3, 3, 2})
                .find("put the flatten layer behind the parallel one"),
            std::string::npos);
}

TEST(LayerKinds, ALayerHasTheDefaultsOfItsRow) {
  Rig rig(network_of("layers = [{ kind = \"avg_pool\", kernel = 3, padding = 1 }]", {6, 6, 1}, 1),
          {6, 6, 1});
  EXPECT_EQ(rig.output, (Shape{2, 2, 1}));  // stride: the kernel
  const Tensor ones = host_tensor({1, 6, 6, 1}, DType::kFloat32);
  std::ranges::fill(ones.span<float>(), 1.0f);
  EXPECT_FLOAT_EQ(rig.forward(ones).data<float>()[0], 4.0f / 9.0f);  // padding counts
}

TEST(LayerKinds, MessagesNameFileLineLayerAndKey) {
  EXPECT_EQ(message_of("[[model.layers]]\nkind = \"relu\"\n[[model.layers]]\nkernel = \"x\"\n"
                       "kind = \"conv2d\"\nchannels = 3"),
            "net.toml:5: model.layers[1].kernel must be an integer of at least 1, or two of them: "
            "[height, width], found the string \"x\"");
  EXPECT_EQ(message_of("layers = [{ kind = \"linear\", features = 0 }]"),
            "net.toml:2: model.layers[0].features must be an integer of at least 1, found the "
            "integer 0");
  EXPECT_EQ(message_of("layers = [{ kind = \"linear\" }, { kind = \"linear\" }]"),
            "net.toml:2: model.layers[0].features is missing; only the last linear layer of the "
            "network may leave it out");
  EXPECT_EQ(message_of("layers = [{ kind = \"dropout\", p = 1.0 }]"),
            "net.toml:2: model.layers[0].p must be a number of at least 0 and below 1, found the "
            "number 1.0");
  EXPECT_EQ(message_of("[[model.layers]]\nkind = \"dropout\"\nq = 0.5"),
            "net.toml:4: unknown key model.layers[0].q (did you mean 'p'?); a layer of the kind "
            "'dropout' has kind, name, p");
  const std::string unknown = message_of("[[model.layers]]\nkind = \"linaer\"");
  EXPECT_TRUE(
      unknown.starts_with("net.toml:3: model.layers[0].kind: there is no kind 'linaer' "
                          "(did you mean 'linear'?); it is one of linear, conv2d"))
      << unknown;
  EXPECT_TRUE(message_of("[[model.layers]]\nname = \"a\"")
                  .starts_with("net.toml:2: model.layers[0].kind is missing; it is one of"));
  EXPECT_EQ(message_of("layers = [{ kind = \"relu\", name = \"a\" }, { kind = \"relu\", name = "
                       "\"a\" }]"),
            "net.toml:2: model.layers[1].name: 'a' is the name of model.layers[0] already");
  EXPECT_EQ(message_of("[[model.layers]]\nkind = \"residual\"\nlayers = [\n"
                       "{ kind = \"dropout\", p = \"half\" }]"),
            "net.toml:5: model.layers[0].layers[0].p must be a number of at least 0 and below 1, "
            "found the string \"half\"");
}

TEST(LayerKinds, ShapesThatDoNotFitAreToldAtTheLayersPlace) {
  EXPECT_EQ(message_of("layers = [\n{ kind = \"relu\" },\n{ kind = \"linear\" }]", {3, 3, 1}),
            "net.toml:4: model.layers[1]: layer '1' (linear) takes a vector, not (3, 3, 1); put a "
            "flatten layer before it");
  EXPECT_EQ(message_of("layers = [{ kind = \"residual\", layers = [\n{ kind = \"linear\", "
                       "features = 3 }] }]"),
            "net.toml:2: model.layers[0]: layer '0' (residual): the main branch gives (3), the "
            "shortcut (4); they must agree");
  EXPECT_EQ(
      message_of("layers = [{ kind = \"residual\", layers = [\n{ kind = \"max_pool\" }] }]"),
      "net.toml:3: model.layers[0].layers[0]: layer '0.main.0' (max_pool) takes images (H, W, "
      "C), not (4)");
}

TEST(LayerKinds, TheListIsAListOfTables) {
  EXPECT_EQ(message_of("layers = []"), "net.toml:2: model.layers lists no layer");
  EXPECT_EQ(message_of("layers = [\"relu\"]"),
            "net.toml:2: model.layers[0] must be a table such as { kind = \"relu\" }, found the "
            "string \"relu\"");
  EXPECT_EQ(message_of("layers = 3"),
            "net.toml:2: model.layers must be a list of tables, one a layer, found the integer 3");
  EXPECT_EQ(message_of("[model.layers]\nkind = \"relu\""),
            "net.toml: 'model.network' is missing (or [[model.layers]], a table a layer)");
  EXPECT_EQ(message_of("network = \"mlp\"\nlayers = [{ kind = \"relu\" }]"),
            "net.toml:3: 'model.network' and 'model.layers' exclude each other; give one");
  EXPECT_EQ(message_of("network = \"layers\"\n[model.layers]\nkind = \"relu\""),
            "network 'layers' needs [[model.layers]], one table a layer");
}

// Every key of a row is read, and every kind is refused by name where a key has a wrong type.
TEST(LayerKinds, EveryKeyOfTheTableIsRead) {
  for (const LayerKind& kind : layer_kinds()) {
    EXPECT_NE(layer_kinds_help().find(std::string(kind.name)), std::string::npos);
    for (const TableKey& wrong : kind.keys) {
      ConfigTable table{{}, "net.toml:1"};
      for (const TableKey& key : kind.keys)  // required keys get a number that most of them take
        if (key.fallback.empty() && key.name != wrong.name)
          table.items.push_back({std::string(key.name), {{std::int64_t{2}}, "net.toml:2"}});
      table.items.push_back(
          {std::string(wrong.name), {{ConfigValue::Array{{true}}}, "net.toml:9"}});
      std::string message = "no error";
      try {
        kind.make(LayerKeys(table, kind.keys, "model.layers[0]", 1));
      } catch (const Error& error) {
        message = error.what();
      }
      EXPECT_NE(message.find(fmt::format("model.layers[0].{}", wrong.name)), std::string::npos)
          << kind.name << "." << wrong.name << ": " << message;
      EXPECT_TRUE(message.starts_with("net.toml:9")) << kind.name << ": " << message;
    }
  }
}

}  // namespace
}  // namespace lockstep
