// Layers, losses and optimizers against PyTorch: tests/golden/operations.json, made by
// make_operations.py from fixed inputs, or the file that LOCKSTEP_OPERATIONS names, which the
// oracle test makes from fresh ones. Each is built from the TOML that a config would hold.
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "models/zoo.h"
#include "runtime/step/loss.h"
#include "runtime/step/optimizer.h"
#include "tests/models/rig.h"

namespace lockstep {
namespace {

using Json = nlohmann::json;

const Json& golden() {
  static const Json values = [] {
    const char* given = std::getenv("LOCKSTEP_OPERATIONS");
    const std::string here = __FILE__;
    const std::string path = given != nullptr ? given
                                              : here.substr(0, here.rfind("tests/models")) +
                                                    "tests/golden/operations.json";
    std::ifstream file(path);
    LOCKSTEP_CHECK(file.good(), "{} cannot be read", path);
    return Json::parse(file);
  }();
  return values;
}

Tensor tensor_of(const Shape& shape, const Json& values) {
  Tensor tensor = host_tensor(shape, DType::kFloat32);
  std::ranges::copy(values.get<std::vector<float>>(), tensor.span<float>().begin());
  return tensor;
}

void expect_near(const Tensor& found, const Json& values, const std::string& name,
                 double tolerance = 1e-5) {
  const auto wanted = values.get<std::vector<double>>();
  ASSERT_EQ(found.elements(), static_cast<std::int64_t>(wanted.size())) << name;
  double largest = 1;
  for (const double value : wanted) largest = std::max(largest, std::abs(value));
  for (std::size_t i = 0; i < wanted.size(); ++i)
    ASSERT_NEAR(found.data<float>()[i], wanted[i], tolerance * largest) << name << "[" << i << "]";
}

Config config_of(const Json& one, const std::string& rest = "model.network = \"linear\"\n") {
  return parse_config(rest + one["toml"].get<std::string>(), "operations.json");
}

TEST(Operations, LayersComputeWhatPyTorchDoes) {
  for (const Json& one : golden()["layers"]) {
    SCOPED_TRACE(one["toml"].get<std::string>());
    const Config config = config_of(one, "model.network = \"layers\"\n");
    const Shape sample(one["sample"].get<std::vector<std::int64_t>>());
    const auto rows = one["rows"].get<std::int64_t>();
    Rig rig(make_network("layers", config.model.table, {sample, 1}), sample, {.max_rows = rows});
    for (const auto& [name, values] : one["weights"].items()) {
      Param* param = rig.params.find("0." + name);
      ASSERT_NE(param, nullptr) << name;
      std::ranges::copy(values.get<std::vector<float>>(), param->value.span<float>().begin());
    }
    const Tensor y = rig.forward(tensor_of(sample.with_rows(rows), one["x"]));
    expect_near(y, one["y"], "y");
    const Tensor dx = rig.backward(tensor_of(rig.output.with_rows(rows), one["dy"]));
    expect_near(dx, one["dx"], "dx");
    for (const auto& [name, values] : one["gradients"].items())
      expect_near(rig.params.find("0." + name)->grad, values, name);
    if (HasFatalFailure()) return;
  }
}

TEST(Operations, LossesComputeWhatPyTorchDoes) {
  for (const Json& one : golden()["losses"]) {
    SCOPED_TRACE(one["toml"].get<std::string>());
    const auto rows = one["rows"].get<std::int64_t>(), outputs = one["outputs"].get<std::int64_t>();
    const bool classes = one["classes"].get<int>() > 0;
    Rig rig(std::make_unique<Sequential>(), {outputs});  // its backend and stream
    const std::unique_ptr<Loss> loss = make_loss(config_of(one).loss, 0);
    loss->build(*rig.backend, rows, {outputs}, classes ? TargetKind::kClass : TargetKind::kValues,
                outputs);
    Tensor target;
    if (classes) {
      target = host_tensor({rows}, DType::kInt64);
      std::ranges::copy(one["target"].get<std::vector<std::int64_t>>(),
                        target.span<std::int64_t>().begin());
    } else {
      target = tensor_of({rows, outputs}, one["target"]);
    }
    Tensor sums = host_tensor({kLossSums}, DType::kFloat64), none, dx;
    rig.in_stream([&] {
      dx = loss->run(rig.pass(rows, true), tensor_of({rows, outputs}, one["x"]), target,
                     tensor_of({rows}, one["weight"]), true, sums, none);
    });
    const auto wanted = one["loss"].get<double>();
    EXPECT_NEAR(loss->scale() * sums.data<double>()[0], wanted, 1e-5 * (1 + std::abs(wanted)));
    expect_near(dx, one["dx"], "gradient");
    if (HasFatalFailure()) return;
  }
}

TEST(Operations, OptimizersComputeWhatPyTorchDoes) {
  for (const Json& one : golden()["optimizers"]) {
    SCOPED_TRACE(one["toml"].get<std::string>());
    const Config config = config_of(one);
    const std::unique_ptr<Optimizer> optimizer = Optimizer::make(config.optimizer);
    Rig rig(std::make_unique<Sequential>(), {1});
    const auto elements = static_cast<std::int64_t>(one["start"].size());
    Tensor value = tensor_of({elements}, one["start"]);
    std::vector<Tensor> states;
    for (std::size_t i = 0; i < optimizer->state_count(); ++i)
      states.push_back(rig.backend->zeros({elements}, DType::kFloat32));
    Treatment treatment;
    treatment.weight_decay = config.optimizer.weight_decay;
    std::int64_t step = 0;
    for (const Json& gradient : one["gradients"]) {
      ++step;
      rig.in_stream([&] {
        optimizer->update(*rig.backend, *rig.stream, treatment, step, config.optimizer.lr,
                          tensor_of({elements}, gradient), value, states);
      });
    }
    expect_near(value, one["end"], "value");
    const std::vector<std::string> names = optimizer->states();
    ASSERT_EQ(names.size(), one["states"].size());
    for (std::size_t i = 0; i < names.size(); ++i)
      expect_near(states[i], one["states"][names[i]], names[i]);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace lockstep
