#include "runtime/step/params.h"

#include <algorithm>

#include "io/dataset/dataset.h"

namespace lockstep {

namespace {

constexpr std::int64_t kAlignment = 64;  // elements: 256 bytes

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace

Param* ParamSet::add(std::string name, const ParamSpec& spec) {
  if (find(name) != nullptr) throw Error("two parameters are called '{}'", name);
  Param& param = params_.emplace_back();
  param.name = std::move(name);
  param.spec = spec;
  param.index = static_cast<int>(params_.size()) - 1;
  param.elements = spec.file_shape.elements();
  return &param;
}

void ParamSet::place() {
  std::int64_t end = 0;
  const auto place_all = [&](auto belongs) {
    for (Param& param : params_) {
      if (!belongs(param)) continue;
      param.offset = round_up(end, kAlignment);
      end = param.offset + param.elements;
    }
    return end = round_up(end, kBlockElements);
  };
  const auto trains = [](ParamKind kind) {
    return [kind](const Param& param) { return param.trains && param.spec.kind == kind; };
  };
  trainable_end_ = place_all(trains(ParamKind::kTrainable));
  trained_elements_ = place_all(trains(ParamKind::kStatistic));
  elements_ = place_all([](const Param& param) { return !param.trains; });
  for_each_scratch_place([this](Param& param, std::int64_t offset) {
    scratch_elements_ = std::max(scratch_elements_, offset + param.elements);
  });
}

// The frozen parameters of one layer lie side by side.
void ParamSet::for_each_scratch_place(const std::function<void(Param&, std::int64_t)>& visit) {
  std::string layer;
  std::int64_t end = 0;
  for (Param& param : params_) {
    if (param.trains) continue;
    const std::string scope = param.name.substr(0, param.name.rfind('.') + 1);
    if (scope != layer) end = 0;
    layer = scope;
    visit(param, end);
    end = round_up(end + param.elements, kAlignment);
  }
}

Param* ParamSet::find(const std::string& name) {
  for (Param& param : params_)
    if (param.name == name) return &param;
  return nullptr;
}

std::int64_t ParamSet::count(ParamKind kind) const {
  std::int64_t sum = 0;
  for (const Param& param : params_)
    if (param.spec.kind == kind) sum += param.elements;
  return sum;
}

void ParamSet::bind_values(Device& device, float* flat) {
  for (Param& param : params_) param.value = device.borrow(flat + param.offset, {param.elements});
}

void ParamSet::bind_trained_values(Device& device, float* flat) {
  for (Param& param : params_)
    if (param.trains) param.value = device.borrow(flat + param.offset, {param.elements});
}

void ParamSet::bind_gradients(Device& device, float* flat, float* sum) {
  for (Param& param : params_) {
    if (!param.trains) continue;
    param.adds = sum != nullptr && param.spec.adds_gradient;
    param.grad = device.borrow((param.adds ? sum : flat) + param.offset, {param.elements});
  }
}

void ParamSet::bind_frozen_gradients(const Tensor& scratch) {
  for_each_scratch_place([&](Param& param, std::int64_t offset) {
    param.grad = scratch.slice(offset, offset + param.elements);
  });
}

void ParamSet::initialize(Backend& backend, std::uint64_t seed) {
  for (Param& param : params_) {
    const Tensor numbers = host_tensor(param.spec.file_shape, DType::kFloat32);
    const RandomKey key{seed, RandomPurpose::kInitialWeights,
                        static_cast<std::uint32_t>(param.index), 0};
    param.spec.initializer.fill(key, numbers.span<float>());
    backend.from_file_order(param.spec.layout, param.spec.file_shape, numbers, param.value);
  }
}

}  // namespace lockstep
