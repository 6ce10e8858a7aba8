// The networks for pictures against timm's: tests/golden/vision.json, made by make_vision.py, which
// makes weights and inputs by the same `hashed` numbers. Names, shapes and order of the state dict;
// logits in evaluation mode; losses and running statistics of three training steps; gradients.
#include "models/zoo.h"
#include "runtime/step/loss.h"
#include "tests/models/golden.h"

namespace lockstep {
namespace {

// Of gradients, and of what three steps with them give: a ReLU whose input rounds to the other side
// of zero moves those of a deep network by some thousandths, too little for a wrong sum to hide.
constexpr Tolerance kTrainedTolerance{1e-2, 1e-5};

// The gradients of the mean loss, by the place among the trainable parameters. Some biases before a
// batch norm have none but rounding errors.
void check_sampled_gradients(Rig& rig, const Json& gradients, std::int64_t rows) {
  std::uint64_t place = 0;
  for (const Param& param : rig.params.all()) {
    if (param.spec.kind != ParamKind::kTrainable) continue;
    const std::uint64_t seed = 2000 + place++;
    if (!gradients.contains(param.name)) continue;
    std::vector<double> found = file_order(rig, param, param.grad);
    for (double& value : found) value /= static_cast<double>(rows);
    expect_summary(found, seed, gradients[param.name], kTrainedTolerance, param.name);
  }
}

// SGD, and the running statistics of one shard.
void take_step(Rig& rig, float rate, std::int64_t rows) {
  for (const Param& param : rig.params.all()) {
    Tensor mean = Rig::copy_of(param.grad), value = param.value, none;
    for (float& one : mean.span<float>()) one /= static_cast<float>(rows);
    rig.in_stream([&] {
      if (param.spec.kind == ParamKind::kTrainable)
        rig.backend->sgd(*rig.stream, {.lr = rate}, mean, value, none);
      else
        rig.backend->running_average(*rig.stream, param.spec.average_momentum, mean, value);
    });
  }
  ++rig.version;
}

void check_state_dict(const Rig& rig, const Json& shapes) {
  Json found = Json::array(), wanted = Json::array();
  for (const Param& param : rig.params.all()) {
    const std::span<const std::int64_t> sizes = param.spec.file_shape.sizes();
    found.push_back({param.name, std::vector<std::int64_t>(sizes.begin(), sizes.end())});
  }
  for (const Json& one : shapes) wanted.push_back(one);
  ASSERT_EQ(found, wanted);
}

class Vision : public testing::TestWithParam<Json> {};

TEST_P(Vision, ComputesWhatTimmDoes) {
  const Json& one = GetParam();
  const Shape sample(one["sample"].get<std::vector<std::int64_t>>());
  const auto rows = one["rows"].get<std::int64_t>();
  ModelTable keys;
  for (const auto& [key, value] : one["keys"].items())
    keys.set(key, {{value.get<std::string>()}, "vision.json"});
  Rig rig(make_network(one["network"], keys, {sample, one["outputs"].get<std::int64_t>()}), sample,
          {.max_rows = rows, .input_gradient = false, .direct_convolutions = true});
  check_state_dict(rig, one["shapes"]);
  if (HasFatalFailure()) return;
  set_weights(rig, 2, [](const std::string& name) {
    return name.ends_with("running_var") || name.ends_with("weight") || name.ends_with("gamma");
  });

  const Tensor x = tensor_of(sample.with_rows(rows), hashed(1000, rows * sample.elements()));
  expect_near(doubles_of(rig.forward(Rig::copy_of(x), false)),
              one["evaluation_logits"].get<std::vector<double>>(), 1e-4, "evaluation logits");

  const std::unique_ptr<Loss> loss = make_loss({}, 0);
  loss->build(*rig.backend, rows, rig.output, TargetKind::kClass, rig.output.back());
  const Tensor target = host_tensor({rows}, DType::kInt64);
  std::ranges::copy(one["classes"].get<std::vector<std::int64_t>>(),
                    target.span<std::int64_t>().begin());
  const auto losses = one["losses"].get<std::vector<double>>();
  EXPECT_LT(losses.back(), 0.9 * losses.front());
  for (std::size_t step = 0; step < losses.size(); ++step) {
    const Tensor y = rig.forward(Rig::copy_of(x));
    Tensor sums = host_tensor({kLossSums}, DType::kFloat64), none, dy;
    rig.in_stream(
        [&] { dy = loss->run(rig.pass(rows, true), y, target, Tensor(), true, sums, none); });
    EXPECT_NEAR(sums.data<double>()[0] / static_cast<double>(rows), losses[step], 1e-3 * losses[0])
        << "step " << step;
    rig.backward(dy);
    if (step == 0) check_sampled_gradients(rig, one["gradients"], rows);
    take_step(rig, one["rate"].get<float>(), rows);
  }
  std::uint64_t place = 0;
  for (const Param& param : rig.params.all())
    if (param.spec.kind == ParamKind::kStatistic)
      expect_summary(file_order(rig, param, param.value), 5000 + place++,
                     one["statistics"][param.name], kTrainedTolerance, param.name);
}

std::vector<Json> vision_cases() {
  const Json golden = read_golden("vision.json");
  return golden["cases"].get<std::vector<Json>>();
}

INSTANTIATE_TEST_SUITE_P(Golden, Vision, testing::ValuesIn(vision_cases()), [](const auto& info) {
  std::string name = info.param["title"].template get<std::string>();
  std::erase_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
  return name;
});

}  // namespace
}  // namespace lockstep
