// ONNX export: files are parsed back and, for what a flat network needs, run by a small interpreter
// of the test's own; nodes and constants of the other layers are named. onnxruntime runs them all
// in tests/oracles/onnx_runtime.py.
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "models/layers/conv2d.h"
#include "models/layers/dropout.h"
#include "models/layers/embedding.h"
#include "models/layers/flatten.h"
#include "models/layers/mean_tokens.h"
#include "models/layers/multihead_attention.h"
#include "models/layers/positional_encoding.h"
#include "models/layers/recurrent.h"
#include "models/zoo.h"
#include "runtime/step/onnx_export.h"
#include "tests/error_of.h"
#include "tests/models/network_keys.h"
#include "tests/models/rig.h"

namespace lockstep {
namespace {

// The fields of one message, in order: numbers, and bytes of what is longer.
struct Field {
  int number = 0;
  std::uint64_t value = 0;
  std::string bytes;
};

std::vector<Field> parse(const std::string& text) {
  std::size_t at = 0;
  const auto varint = [&] {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(text.at(at++));
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  std::vector<Field> fields;
  while (at < text.size()) {
    const std::uint64_t key = varint();
    Field field{static_cast<int>(key >> 3), 0, {}};
    if ((key & 7) == 0) {
      field.value = varint();
    } else {
      const std::size_t size = (key & 7) == 2 ? varint() : (key & 7) == 5 ? 4 : 8;
      field.bytes = text.substr(at, size);
      EXPECT_EQ(field.bytes.size(), size);
      at += size;
    }
    fields.push_back(field);
  }
  return fields;
}

std::vector<std::string> all(const std::vector<Field>& fields, int number) {
  std::vector<std::string> found;
  for (const Field& field : fields)
    if (field.number == number) found.push_back(field.bytes);
  return found;
}

struct Constant {
  std::vector<std::uint64_t> dims;
  std::vector<float> values;
};

struct Node {
  std::string op, output;
  std::vector<std::string> inputs;
};

struct Model {
  std::vector<Node> nodes;
  std::map<std::string, Constant> constants;
  std::map<std::string, std::string> metadata;
  std::uint64_t input_type = 0;

  std::string ops() const {
    std::string text;
    for (const Node& node : nodes) text += (text.empty() ? "" : " ") + node.op;
    return text;
  }
};

Model parse_model(const std::string& text) {
  Model model;
  const std::vector<Field> outer = parse(text);
  for (const std::string& entry : all(outer, 14))
    model.metadata[all(parse(entry), 1).at(0)] = all(parse(entry), 2).at(0);
  const std::vector<Field> graph = parse(all(outer, 7).at(0));
  const std::string input = all(graph, 11).at(0);  // name, type: tensor: element type, shape
  model.input_type = parse(all(parse(all(parse(input), 2).at(0)), 1).at(0)).at(0).value;
  for (const std::string& bytes : all(graph, 1)) {
    const std::vector<Field> node = parse(bytes);
    model.nodes.push_back({all(node, 4).at(0), all(node, 2).back(), all(node, 1)});
  }
  for (const std::string& bytes : all(graph, 5)) {
    const std::vector<Field> tensor = parse(bytes);
    Constant& constant = model.constants[all(tensor, 8).at(0)];
    for (const Field& field : tensor)
      if (field.number == 1) constant.dims.push_back(field.value);
    const std::string raw = all(tensor, 9).at(0);
    constant.values.resize(raw.size() / sizeof(float));
    std::memcpy(constant.values.data(), raw.data(), raw.size());
  }
  return model;
}

// Runs a model of Mul, Add (of constants by channel), Flatten, Gemm, Relu and Identity on one row.
std::vector<float> run(const Model& model, const std::vector<float>& input) {
  std::map<std::string, std::vector<float>> values{{"input", input}};
  for (const Node& node : model.nodes) {
    std::vector<float> y = values.at(node.inputs[0]);
    if (node.op == "Mul" || node.op == "Add") {
      const std::vector<float>& by = model.constants.at(node.inputs[1]).values;
      for (std::size_t i = 0; i < y.size(); ++i) {
        const float number = by[i / (y.size() / by.size())];  // channels are outermost
        y[i] = node.op == "Mul" ? y[i] * number : y[i] + number;
      }
    } else if (node.op == "Relu") {
      for (float& value : y) value = std::max(value, 0.0f);
    } else if (node.op == "Gemm") {
      const Constant& w = model.constants.at(node.inputs[1]);
      std::vector<float> out = model.constants.at(node.inputs[2]).values;
      EXPECT_EQ(w.dims.at(1), y.size());
      for (std::size_t o = 0; o < out.size(); ++o)
        for (std::size_t i = 0; i < y.size(); ++i) out[o] += w.values[o * y.size() + i] * y[i];
      y = out;
    } else {
      EXPECT_TRUE(node.op == "Flatten" || node.op == "Identity") << node.op;
    }
    values[node.output] = y;
  }
  return values.at("logits");
}

std::string exported(Rig& rig, std::vector<float> scale = {}, std::vector<float> shift = {}) {
  const auto path = std::filesystem::temp_directory_path() /
                    fmt::format("lockstep-{}.onnx", std::random_device{}());
  OnnxModel model;
  model.name = "test";
  model.input.name = "input";
  model.output.name = "logits";
  model.metadata["classes"] = "[\"a\"]";
  export_onnx(path.string(),
              {*rig.layer, rig.build, rig.sample, rig.output, std::move(scale), std::move(shift)},
              model);
  std::stringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  std::filesystem::remove(path);
  return text.str();
}

TEST(Onnx, AnImageComesAsChannelsRowsColumns) {
  Random random;
  SCOPED_TRACE(fmt::format("seed {}", random.seed()));
  const Shape sample{2, 3, 4};
  Rig rig(make_network("mlp", {}, {sample, 5}), sample, {.input_gradient = false});
  const std::vector<float> scale = {0.5f, 2, 1, 3}, shift = {1, 0, -1, 0.25f};
  const Model model = parse_model(exported(rig, scale, shift));
  EXPECT_EQ(model.metadata.at("classes"), "[\"a\"]");
  const Tensor raw = random.uniform(sample.with_rows(1));
  Tensor x = Rig::copy_of(raw);
  std::vector<float> turned(24);  // (C, H, W)
  for (std::size_t i = 0; i < 24; ++i) {
    x.data<float>()[i] = raw.data<float>()[i] * scale[i % 4] + shift[i % 4];
    turned[i % 4 * 6 + i / 4] = raw.data<float>()[i];
  }
  const std::vector<float> expected = list_of(rig.forward(x, false)), found = run(model, turned);
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-5) << i;
}

TEST(Onnx, LayersAreNodesUnderTheirPathsAndParametersConstants) {
  const Shape sample{8, 8, 2};
  Rig rig(make_network("cnn", keys_from({{"batch_norm", {true}}, {"dropout", {0.5}}}), {sample, 3}),
          sample, {.input_gradient = false});
  const std::string text = exported(rig);
  const Model model = parse_model(text);
  EXPECT_EQ(model.ops(),
            "Conv BatchNormalization Relu MaxPool Conv BatchNormalization Relu MaxPool Flatten "
            "Gemm Relu Gemm Identity");
  EXPECT_EQ(model.nodes[1].output, "bn1/BatchNormalization");
  EXPECT_EQ(model.nodes[1].inputs,
            (std::vector<std::string>{"conv1/Conv", "bn1.weight", "bn1.bias", "bn1.running_mean",
                                      "bn1.running_var"}));
  EXPECT_EQ(model.constants.size(), rig.params.all().size());
  for (const Param& param : rig.params.all()) {
    const Constant& constant = model.constants.at(param.name);
    const auto sizes = param.spec.file_shape.sizes();
    EXPECT_TRUE(std::ranges::equal(constant.dims, sizes)) << param.name;
  }
  EXPECT_EQ(exported(rig), text);  // the same bytes
}

// An own layer whose author gave it no ONNX form.
class Unheard final : public UnaryLayer {
 public:
  Shape build(Build&, const Shape& in) override { return in; }
  Tensor forward(const Pass&, const Tensor& x) override { return x; }
  Tensor backward(const Pass&, const Tensor& dy) override { return dy; }
};

TEST(Onnx, WhatHasNoFormIsNamed) {
  auto network = std::make_unique<Sequential>();
  auto inner = std::make_unique<Sequential>();
  inner->add_named<Dropout>("drop", 0.5);
  inner->add_named<Unheard>("own");
  network->add(std::move(inner), "encoder");
  const std::string message = error_of([&] {
    Rig rig(std::move(network), {4, 3});
    exported(rig);
  });
  EXPECT_NE(message.find("layer 'encoder.own' has no ONNX form"), std::string::npos) << message;
}

TEST(Onnx, SequencesAreNodesOfStandardOperators) {
  auto network = std::make_unique<Sequential>();
  network->add_named<Embedding>("embedding", EmbeddingOptions{Rig::kIds, 4, 0});
  network->add_named<PositionalEncoding>("positions", PositionKind::kSinusoidal);
  network->add_named<MultiheadAttention>(
      "attention", AttentionOptions{.heads = 2, .causal = true, .padding = 0});
  network->add_named<Recurrent>(
      "lstm",
      RecurrentOptions{
          .hidden = 3, .layers = 2, .bidirectional = true, .sequence = true, .dropout = 0.5});
  network->add_named<MeanTokens>("mean", 0);
  Rig rig(std::move(network), {5}, {.input_gradient = false});
  const Model model = parse_model(exported(rig));
  EXPECT_EQ(model.ops(),
            "Gather Add "
            "MatMul Add Reshape Transpose Gather Squeeze Transpose Gather Squeeze Mul MatMul "
            "Equal Not Cast Unsqueeze Mul Sub Mul Add Softmax Mul Gather Squeeze MatMul Transpose "
            "Reshape MatMul Add "
            "Transpose LSTM Transpose Reshape LSTM Transpose Reshape "
            "Equal Not Cast Unsqueeze Mul ReduceSum ReduceSum Max Div Identity");
  EXPECT_EQ(model.input_type, 7u);  // int64
  const auto dims = [&](const char* name) { return model.constants.at(name).dims; };
  using Dims = std::vector<std::uint64_t>;
  EXPECT_EQ(dims("embedding.weight"), (Dims{Rig::kIds, 4}));
  EXPECT_EQ(dims("lstm/W"), (Dims{2, 12, 4}));
  EXPECT_EQ(dims("lstm/W_1"), (Dims{2, 12, 6}));
  EXPECT_EQ(dims("lstm/R_1"), (Dims{2, 12, 3}));
  EXPECT_EQ(dims("lstm/B"), (Dims{2, 24}));
}

// The number of its gate in every element of the parameters.
std::vector<float> gates_of(RecurrentKind kind, const std::string& constant) {
  auto network = std::make_unique<Sequential>();
  network->add_named<Recurrent>("r", RecurrentOptions{.kind = kind, .hidden = 2});
  Rig rig(std::move(network), {3, 1});
  for (const Param& param : rig.params.all()) {
    const Tensor values = host_tensor(param.spec.file_shape, DType::kFloat32);
    const std::int64_t row = param.elements / param.spec.file_shape[0];
    const float first = param.name.find("_hh") != std::string::npos ? 10.0f : 0.0f;
    for (std::int64_t i = 0; i < param.elements; ++i)
      values.data<float>()[i] = first + static_cast<float>(i / row / 2);
    Tensor value = param.value;
    rig.backend->from_file_order(param.spec.layout, param.spec.file_shape, values, value);
  }
  return parse_model(exported(rig)).constants.at("r/" + constant).values;
}

TEST(Onnx, GatesStandInOnnxsOrder) {
  using Values = std::vector<float>;
  EXPECT_EQ(gates_of(RecurrentKind::kLstm, "W"), (Values{0, 0, 3, 3, 1, 1, 2, 2}));
  EXPECT_EQ(gates_of(RecurrentKind::kGru, "W"), (Values{1, 1, 0, 0, 2, 2}));
  EXPECT_EQ(gates_of(RecurrentKind::kGru, "B"), (Values{1, 1, 0, 0, 2, 2, 11, 11, 10, 10, 12, 12}));
  EXPECT_EQ(gates_of(RecurrentKind::kGru, "R"),
            (Values{11, 11, 11, 11, 10, 10, 10, 10, 12, 12, 12, 12}));
}

TEST(Onnx, AFlattenedImageAtTheEndIsRefused) {
  auto network = std::make_unique<Sequential>();
  network->add_named<Conv2d>("conv", Conv2dOptions::square(2, 3));
  network->add_named<Flatten>("flatten");
  Rig rig(std::move(network), {4, 4, 1});
  const std::string message = error_of([&] { exported(rig); });
  EXPECT_NE(message.find("ends in the flattened image (2, 2, 2)"), std::string::npos) << message;
}

}  // namespace
}  // namespace lockstep
