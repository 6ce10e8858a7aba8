// Networks of the zoo against PyTorch: tests/golden/models.json, made by make_models.py, which
// makes weights and inputs by the same `hashed` numbers. Both passes, the loss, and batch norm's
// statistics, within float32's rounding of PyTorch's float64.
#include <fstream>
#include <nlohmann/json.hpp>

#include "models/zoo.h"
#include "runtime/step/loss.h"
#include "tests/models/rig.h"

namespace lockstep {
namespace {

using Json = nlohmann::json;

// SplitMix64 of (seed, index), upper 24 bits, in [-1, 1): as make_models.py has it.
std::vector<float> hashed(std::uint64_t seed, std::int64_t count) {
  std::vector<float> values;
  for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(count); ++i) {
    std::uint64_t z = (i + (seed << 32) + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    values.push_back(static_cast<float>(z >> 40) * 0x1p-23f - 1.0f);
  }
  return values;
}

Tensor tensor_of(const Shape& shape, const std::vector<float>& values) {
  Tensor tensor = host_tensor(shape, DType::kFloat32);
  std::ranges::copy(values, tensor.span<float>().begin());
  return tensor;
}

std::vector<double> file_order(Rig& rig, const Param& param, const Tensor& flat) {
  Tensor values = host_tensor(param.spec.file_shape, DType::kFloat32);
  rig.backend->to_file_order(param.spec.layout, param.spec.file_shape, flat, values);
  return {values.span<float>().begin(), values.span<float>().end()};
}

void set_weights(Rig& rig, const Json& names) {
  ASSERT_EQ(names.size(), rig.params.all().size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    Param& param = *rig.params.find(rig.params.all()[i].name);
    ASSERT_EQ(param.name, names[i].get<std::string>());
    std::vector<float> values = hashed(i, param.elements);
    const Shape& shape = param.spec.file_shape;
    if (shape.rank() > 1) {
      const double fan_in = static_cast<double>(param.elements / shape[0]);
      for (float& value : values) value *= static_cast<float>(std::sqrt(3.0 / fan_in));
    } else {
      const bool one = param.name.ends_with("running_var") ||
                       (param.name.starts_with("bn") && param.name.ends_with("weight"));
      for (float& value : values) value = 0.5f * value + (one ? 1.0f : 0.0f);
    }
    rig.backend->from_file_order(param.spec.layout, shape, tensor_of(shape, values), param.value);
  }
}

void expect_near(const std::vector<double>& found, const std::vector<double>& wanted,
                 double tolerance, const std::string& name) {
  ASSERT_EQ(found.size(), wanted.size()) << name;
  double largest = 1;
  for (const double value : wanted) largest = std::max(largest, std::abs(value));
  for (std::size_t i = 0; i < wanted.size(); ++i)
    ASSERT_NEAR(found[i], wanted[i], tolerance * largest) << name << "[" << i << "]";
}

std::vector<double> doubles_of(const Tensor& tensor) {
  return {tensor.span<float>().begin(), tensor.span<float>().end()};
}

ConfigValue config_value(const Json& value) {
  if (value.is_boolean()) return {value.get<bool>()};
  if (value.is_string()) return {value.get<std::string>()};
  if (value.is_number_integer()) return {value.get<std::int64_t>()};
  ConfigValue::Array array;
  for (const Json& element : value) array.push_back(config_value(element));
  return {array};
}

Tensor target_of(const Json& one, std::int64_t rows) {
  if (one.contains("values")) {
    const auto values = one["values"].get<std::vector<float>>();
    return tensor_of({rows, static_cast<std::int64_t>(values.size()) / rows}, values);
  }
  Tensor classes = host_tensor({rows}, DType::kInt64);
  std::ranges::copy(one["classes"].get<std::vector<std::int64_t>>(),
                    classes.span<std::int64_t>().begin());
  return classes;
}

LossConfig loss_config(const Json& one) {
  LossConfig config;
  for (const LossKind kind :
       {LossKind::kCrossEntropy, LossKind::kBinaryCrossEntropy, LossKind::kMse})
    if (one["loss_kind"] == name_of(kind)) config.kind = kind;
  config.label_smoothing = one.value("label_smoothing", 0.0);
  config.class_weights = one.value("class_weights", std::vector<double>{});
  return config;
}

void check_gradients(Rig& rig, const Json& gradients) {
  std::size_t seed = 2000;
  for (const Param& param : rig.params.all()) {
    if (param.spec.kind != ParamKind::kTrainable) continue;
    const Json& wanted = gradients[param.name];
    const std::vector<double> found = file_order(rig, param, param.grad);
    const std::vector<float> weights = hashed(seed++, param.elements);
    double squares = 0, projection = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      squares += found[i] * found[i];
      projection += found[i] * weights[i];
    }
    const double norm = wanted["norm"].get<double>();
    EXPECT_NEAR(std::sqrt(squares), norm, 2e-5 * norm + 1e-6) << param.name;
    EXPECT_NEAR(projection, wanted["projection"].get<double>(), 2e-5 * norm + 1e-6) << param.name;
    const auto first = wanted["first"].get<std::vector<double>>();
    for (std::size_t i = 0; i < first.size(); ++i)
      EXPECT_NEAR(found[i], first[i], 2e-5 * norm + 1e-6) << param.name << "[" << i << "]";
  }
}

void update_statistics(Rig& rig, const Json& statistics, std::int64_t rows) {
  for (const Param& param : rig.params.all()) {
    if (param.spec.kind != ParamKind::kStatistic) continue;
    Tensor mean = Rig::copy_of(param.grad), value = param.value;
    for (float& leaf : mean.span<float>()) leaf /= static_cast<float>(rows);
    rig.in_stream([&] {
      rig.backend->running_average(*rig.stream, param.spec.average_momentum, mean, value);
    });
    expect_near(doubles_of(value), statistics[param.name].get<std::vector<double>>(), 1e-5,
                param.name);
  }
}

TEST(Golden, NetworksComputeWhatPyTorchDoes) {
  const std::string path =
      std::string(__FILE__).substr(0, std::string(__FILE__).rfind("tests/models")) +
      "tests/golden/models.json";
  std::ifstream file(path);
  ASSERT_TRUE(file.good()) << path;
  const Json golden = Json::parse(file);
  ASSERT_EQ(golden["cases"].size(), 5u);
  for (const Json& one : golden["cases"]) {
    SCOPED_TRACE(one["title"].get<std::string>());
    const Shape sample(one["sample"].get<std::vector<std::int64_t>>());
    const auto rows = one["rows"].get<std::int64_t>();
    const auto outputs = one["outputs"].get<std::int64_t>();
    ModelTable keys;
    for (const auto& [key, value] : one["keys"].items())
      keys.set(key, {config_value(value), "models.json"});
    Rig rig(make_network(one["network"], keys, {sample, outputs}), sample,
            {.max_rows = rows, .input_gradient = false});
    set_weights(rig, one["names"]);
    if (HasFatalFailure()) return;

    const Tensor x = tensor_of(sample.with_rows(rows), hashed(1000, rows * sample.elements()));
    const Tensor y = rig.forward(x);
    expect_near(doubles_of(y), one["logits"].get<std::vector<double>>(), 1e-5, "logits");

    const std::unique_ptr<Loss> loss = make_loss(loss_config(one), 0);
    const Tensor target = target_of(one, rows);
    loss->build(*rig.backend, rows, rig.output,
                one.contains("values") ? TargetKind::kValues : TargetKind::kClass, outputs);
    Tensor sums = host_tensor({kLossSums}, DType::kFloat64), none, dy;
    rig.in_stream(
        [&] { dy = loss->run(rig.pass(rows, true), y, target, Tensor(), true, sums, none); });
    const auto wanted = one["loss"].get<double>();
    EXPECT_NEAR(sums.data<double>()[0], wanted, 1e-5 * std::abs(wanted));

    rig.backward(dy);
    check_gradients(rig, one["gradients"]);
    update_statistics(rig, one["statistics"], rows);
    expect_near(doubles_of(rig.forward(x, false)),
                one["evaluation_logits"].get<std::vector<double>>(), 1e-5, "evaluation logits");
  }
}

}  // namespace
}  // namespace lockstep
