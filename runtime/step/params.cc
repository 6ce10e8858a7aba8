#include "runtime/step/params.h"

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
  for (const ParamKind kind : {ParamKind::kTrainable, ParamKind::kStatistic}) {
    for (Param& param : params_) {
      if (param.spec.kind != kind) continue;
      param.offset = round_up(end, kAlignment);
      end = param.offset + param.elements;
    }
    end = round_up(end, kBlockElements);
    if (kind == ParamKind::kTrainable) trainable_end_ = end;
  }
  elements_ = end;
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

void ParamSet::bind_gradients(Device& device, float* flat) {
  for (Param& param : params_) param.grad = device.borrow(flat + param.offset, {param.elements});
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
