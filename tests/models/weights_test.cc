// Weight files: what comes back, what is converted, a head of another size, and every way in which
// a file does not fit.
#include "models/weights.h"

#include <cmath>
#include <filesystem>
#include <numeric>

#include "io/formats/safetensors.h"
#include "models/layers/linear.h"
#include "models/zoo.h"
#include "tests/error_of.h"
#include "tests/models/network_keys.h"
#include "tests/models/rig.h"

namespace lockstep {
namespace {

void expect_parts(const std::string& message, const std::vector<std::string>& parts) {
  for (const std::string& part : parts)
    EXPECT_NE(message.find(part), std::string::npos) << "'" << part << "' in: " << message;
}

Tensor filled(const Shape& shape, float value) {
  Tensor tensor = host_tensor(shape, DType::kFloat32);
  std::ranges::fill(tensor.span<float>(), value);
  return tensor;
}

Rig cnn_rig() {
  return Rig(make_network("cnn", keys_from({{"batch_norm", {true}}}), {Shape{8, 8, 2}, 3}),
             {8, 8, 2}, {.input_gradient = false});
}

Rig mlp_rig(std::int64_t outputs) {
  return Rig(make_network("mlp", keys_from({{"widths", widths({4})}}), {Shape{3}, outputs}), {3},
             {.input_gradient = false});
}

class TemporaryFile {
 public:
  explicit TemporaryFile(const char* name)
      : path_(std::filesystem::temp_directory_path() /
              fmt::format("lockstep-{}-{}.safetensors", std::random_device{}(), name)) {}
  ~TemporaryFile() { std::filesystem::remove(path_); }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

TEST(Weights, ComeBackAsTheyWere) {
  Random random;
  SCOPED_TRACE(fmt::format("seed {}", random.seed()));
  Rig saved = cnn_rig(), loaded = cnn_rig();
  for (const Param& param : saved.params.all()) {
    const Tensor values = random.uniform({param.elements}, 0.1f, 1);
    std::ranges::copy(values.span<float>(), param.value.span<float>().begin());
  }
  const TemporaryFile file("weights");
  write_weights(file.path(), *saved.backend, saved.params, {{"network", "cnn"}});
  read_weights(file.path(), *loaded.backend, loaded.params);
  for (const Param& param : saved.params.all())
    EXPECT_EQ(list_of(param.value), list_of(loaded.params.find(param.name)->value)) << param.name;
  const SafetensorsReader reader(file.path());
  EXPECT_EQ(reader.metadata().at("network"), "cnn");
  EXPECT_EQ(reader.entries().size(), saved.params.all().size());
}

// Files hold an image's columns in the order C, H, W: column (c, h, w) multiplies pixel (h, w, c).
TEST(Weights, ColumnsOfAFlattenedImageAreInPyTorchsOrder) {
  const Shape sample{2, 3, 4};
  Rig rig(make_network("linear", {}, {sample, 1}), sample, {.input_gradient = false});
  const TemporaryFile file("columns");
  Tensor weight = host_tensor({1, 24}, DType::kFloat32);
  std::iota(weight.span<float>().begin(), weight.span<float>().end(), 0.0f);
  Tensor bias = host_tensor({1}, DType::kFloat32);
  bias.data<float>()[0] = 0.5f;
  write_safetensors(file.path(),
                    std::vector<NamedTensor>{{"fc.weight", weight}, {"fc.bias", bias}});
  read_weights(file.path(), *rig.backend, rig.params);
  for (std::int64_t h = 0; h < 2; ++h)
    for (std::int64_t w = 0; w < 3; ++w)
      for (std::int64_t c = 0; c < 4; ++c) {
        Tensor x = host_tensor(sample.with_rows(1), DType::kFloat32);
        std::ranges::fill(x.span<float>(), 0.0f);
        x.data<float>()[(h * 3 + w) * 4 + c] = 1;
        ++rig.version;
        EXPECT_EQ(rig.forward(x).data<float>()[0], static_cast<float>((c * 2 + h) * 3 + w) + 0.5f);
      }
}

TEST(Weights, OfAnotherNetworkAreRefusedWhole) {
  Rig rig = mlp_rig(2);
  const std::vector<float> before = list_of(rig.params.find("fc1.weight")->value);
  const TemporaryFile file("other");
  const auto floats = [](const Shape& shape) { return filled(shape, 9); };
  const Tensor integers = host_tensor({2}, DType::kInt64);
  std::ranges::fill(integers.span<std::int64_t>(), 1);
  write_safetensors(file.path(), std::vector<NamedTensor>{{"fc1.weight", floats({4, 3})},
                                                          {"fc2.weight", floats({2, 5})},
                                                          {"fc2.bias", integers},
                                                          {"fc3.bias", floats({2})},
                                                          {"bn.num_batches_tracked", integers}});
  const std::string message =
      error_of([&] { read_weights(file.path(), *rig.backend, rig.params); });
  expect_parts(message, {file.path(), "'fc1.bias' is missing",
                         "'fc2.weight' is (2, 5), the network's is (2, 4)", "'fc2.bias' holds I64",
                         "'fc3.bias' is no parameter"});
  EXPECT_EQ(message.find("num_batches_tracked"), std::string::npos) << message;
  EXPECT_EQ(list_of(rig.params.find("fc1.weight")->value), before);
}

// A file of mlp_rig's network whose weights are all `value`, and whose head has `outputs`.
void write_mlp(const std::string& path, std::int64_t outputs, float value) {
  write_safetensors(path, std::vector<NamedTensor>{{"fc1.weight", filled({4, 3}, value)},
                                                   {"fc1.bias", filled({4}, value)},
                                                   {"fc2.weight", filled({outputs, 4}, value)},
                                                   {"fc2.bias", filled({outputs}, value)}});
}

TEST(Weights, AHeadOfAnotherSizeKeepsItsInitialValues) {
  Rig rig = mlp_rig(2);
  const std::vector<float> weight = list_of(rig.params.find("fc2.weight")->value),
                           bias = list_of(rig.params.find("fc2.bias")->value);
  const TemporaryFile file("head");
  write_mlp(file.path(), 7, 0.5f);
  const auto notes = read_weights(file.path(), *rig.backend, rig.params, HeadPolicy::kMayDiffer);
  EXPECT_EQ(notes, std::vector<std::string>{
                       "head 'fc2': 7 outputs in the file, 2 here: initialised anew"});
  EXPECT_EQ(list_of(rig.params.find("fc2.weight")->value), weight);
  EXPECT_EQ(list_of(rig.params.find("fc2.bias")->value), bias);
  EXPECT_EQ(list_of(rig.params.find("fc1.bias")->value), std::vector<float>(4, 0.5f));

  const std::string message =
      error_of([&] { read_weights(file.path(), *rig.backend, rig.params); });
  expect_parts(message, {"'fc2.weight' is (7, 4), the network's is (2, 4)", "'fc2.bias' is (7)",
                         "7 outputs", "model.outputs = 7", "model.num_classes = 7"});
}

TEST(Weights, AnEqualHeadIsRead) {
  Rig rig = mlp_rig(2);
  const TemporaryFile file("equal");
  write_mlp(file.path(), 2, 0.25f);
  EXPECT_TRUE(read_weights(file.path(), *rig.backend, rig.params, HeadPolicy::kMayDiffer).empty());
  EXPECT_EQ(list_of(rig.params.find("fc2.bias")->value), std::vector<float>(2, 0.25f));
}

TEST(Weights, ThePrefixOfAWrappedModuleIsNamed) {
  Rig rig = mlp_rig(2);
  const TemporaryFile file("prefix");
  write_safetensors(file.path(), std::vector<NamedTensor>{{"module.fc1.weight", filled({4, 3}, 0)},
                                                          {"module.fc1.bias", filled({4}, 0)},
                                                          {"module.fc2.weight", filled({2, 4}, 0)},
                                                          {"module.fc2.bias", filled({2}, 0)}});
  expect_parts(error_of([&] { read_weights(file.path(), *rig.backend, rig.params); }),
               {"'fc1.weight' is missing", "begin with 'module.' there"});
}

TEST(Weights, AHeadOfOtherInputsIsAnErrorAllTheSame) {
  Rig rig = mlp_rig(2);
  const TemporaryFile file("inputs");
  write_safetensors(file.path(), std::vector<NamedTensor>{{"fc1.weight", filled({4, 3}, 0)},
                                                          {"fc1.bias", filled({4}, 0)},
                                                          {"fc2.weight", filled({7, 5}, 0)},
                                                          {"fc2.bias", filled({7}, 0)}});
  expect_parts(error_of([&] {
                 read_weights(file.path(), *rig.backend, rig.params, HeadPolicy::kMayDiffer);
               }),
               {"'fc2.weight' is (7, 5), the network's is (2, 4)", "Check model.network"});
}

// A file of one linear layer (2, 3) with the values as they stand, and what reading it says.
struct Stored {
  std::string code;
  std::string bytes;
};

template <typename Number>
Stored stored(const std::string& code, const std::vector<Number>& numbers) {
  return {code, std::string(reinterpret_cast<const char*>(numbers.data()),
                            numbers.size() * sizeof(Number))};
}

void write_linear(const std::string& path, const Stored& values) {
  const std::string header =
      fmt::format(R"({{"fc.weight":{{"dtype":"{}","shape":[2,3],"data_offsets":[0,{}]}}}})",
                  values.code, values.bytes.size());
  const std::uint64_t length = header.size();
  FileWriter file(path);
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(header);
  file.write(values.bytes);
  file.commit();
}

TEST(Weights, OtherFloatsAreConverted) {
  const std::vector<float> expected = {1, -0.5f, 2, 0, -65504, 0.0999755859375f};
  const std::vector<std::pair<Stored, std::string>> list = {
      {stored<std::uint16_t>("F16", {0x3c00, 0xb800, 0x4000, 0, 0xfbff, 0x2e66}),
       "1 tensor of F16 converted to float32"},
      {stored<std::uint16_t>("BF16", {0x3f80, 0xbf00, 0x4000, 0, 0xc780, 0x3dcd}),
       "1 tensor of BF16 converted to float32"},
      {stored<double>("F64", {1, -0.5, 2, 0, -65504, 0.0999755859375}),
       "1 tensor of F64 rounded to float32"}};
  for (const auto& [values, note] : list) {
    SCOPED_TRACE(values.code);
    Rig rig(make_network("linear", keys_from({{"bias", {false}}}), {Shape{3}, 2}), {3},
            {.input_gradient = false});
    const TemporaryFile file("floats");
    write_linear(file.path(), values);
    EXPECT_EQ(read_weights(file.path(), *rig.backend, rig.params), std::vector<std::string>{note});
    for (int column = 0; column < 3; ++column) {
      Tensor x = filled({1, 3}, 0);
      x.data<float>()[column] = 1;
      ++rig.version;
      const std::vector<float> y = list_of(rig.forward(x));
      for (int row = 0; row < 2; ++row) {
        const float value = expected[static_cast<std::size_t>(3 * row + column)];
        const float tolerance = values.code == "BF16" ? std::abs(value) / 256 : 0;
        EXPECT_NEAR(y[static_cast<std::size_t>(row)], value, tolerance);
      }
    }
  }
}

TEST(Weights, WhatIsNotFiniteIsNamedByElement) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<std::pair<Stored, std::string>> list = {
      {stored<float>("F32", {0, 0, 0, 0, 0, kNan}), "'fc.weight' [1, 2] is nan"},
      {stored<float>("F32", {0, -INFINITY, 0, kNan, 0, 0}), "'fc.weight' [0, 1] is -inf"},
      {stored<std::uint16_t>("F16", {0, 0, 0, 0x7c00, 0, 0}), "'fc.weight' [1, 0] is inf"},
      {stored<double>("F64", {0, 0, 1e39, 0, 0, 0}), "[0, 2] is 1e+39, too large for float32"}};
  for (const auto& [values, part] : list) {
    Rig rig(make_network("linear", keys_from({{"bias", {false}}}), {Shape{3}, 2}), {3},
            {.input_gradient = false});
    const std::vector<float> before = list_of(rig.params.find("fc.weight")->value);
    const TemporaryFile file("nan");
    write_linear(file.path(), values);
    expect_parts(error_of([&] { read_weights(file.path(), *rig.backend, rig.params); }),
                 {file.path(), part});
    EXPECT_EQ(list_of(rig.params.find("fc.weight")->value), before);
  }
}

}  // namespace
}  // namespace lockstep
