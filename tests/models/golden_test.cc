// Networks of the zoo against PyTorch: tests/golden/models.json, made by make_models.py, which
// makes weights and inputs by the same `hashed` numbers. Both passes, the loss, and batch norm's
// statistics, within float32's rounding of PyTorch's float64.
#include "tests/models/golden.h"
#include "models/zoo.h"
#include "runtime/step/loss.h"

namespace lockstep {
namespace {

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
  const Json golden = read_golden("models.json");
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
    Json names = Json::array();
    for (const Param& param : rig.params.all()) names.push_back(param.name);
    ASSERT_EQ(names, one["names"]);
    set_weights(rig, 1, [](const std::string& name) {
      return name.ends_with("running_var") || (name.starts_with("bn") && name.ends_with("weight"));
    });

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
    check_gradients(rig, one["names"], one["gradients"]);
    update_statistics(rig, one["statistics"], rows);
    expect_near(doubles_of(rig.forward(x, false)),
                one["evaluation_logits"].get<std::vector<double>>(), 1e-5, "evaluation logits");
  }
}

}  // namespace
}  // namespace lockstep
