#include "runtime/run/parameter_log.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace lockstep {

namespace {

const Param& find_param(ParamSet& params, const std::string& name) {
  const Param* param = params.find(name);
  if (param == nullptr) {
    std::vector<std::string> names;
    for (const Param& known : params.all()) names.push_back(known.name);
    const std::string near = nearest_name(name, names);
    throw Error("log.parameters: the network has no parameter '{}'{}; it has {}", name,
                near.empty() ? "" : fmt::format(" (did you mean '{}'?)", near),
                fmt::join(names, ", "));
  }
  if (param->spec.kind != ParamKind::kTrainable)
    throw Error("log.parameters: '{}' is a running statistic, which has no gradient", name);
  if (param->elements > ParameterLog::kMaxElements)
    throw Error(
        "log.parameters: '{}' has {} elements, and a line shows parameters of at most {}; "
        "checkpoints hold them all (lockstep export)",
        name, param->elements, ParameterLog::kMaxElements);
  return *param;
}

nlohmann::ordered_json to_json(const std::vector<float>& values) {
  if (values.empty()) return nullptr;
  if (values.size() == 1) return values[0];
  return values;
}

}  // namespace

nlohmann::ordered_json with_parameters(nlohmann::ordered_json line,
                                       const std::vector<ShownParameter>& parameters) {
  for (const ShownParameter& parameter : parameters) {
    line["parameters"][parameter.name] = to_json(parameter.values);
    line["gradients"][parameter.name] = to_json(parameter.gradients);
  }
  return line;
}

ParameterLog::ParameterLog(const std::vector<std::string>& names, Team& team, Trainer& trainer)
    : team_(team), trainer_(trainer) {
  for (const std::string& name : names) params_.push_back(&find_param(team.params(), name));
}

std::string ParameterLog::names() const {
  std::string text;
  for (const Param* param : params_) text += (text.empty() ? "" : ", ") + param->name;
  return text;
}

std::vector<ShownParameter> ParameterLog::read() const {
  Backend& backend = team_.backend();
  const auto in_file_order = [&](const Param& param, const Tensor& flat) {
    Tensor ordered = host_tensor(param.spec.file_shape, DType::kFloat32);
    backend.to_file_order(param.spec.layout, param.spec.file_shape, flat, ordered);
    const std::span<const float> values = ordered.span<float>();
    return std::vector<float>(values.begin(), values.end());
  };
  std::vector<ShownParameter> shown;
  for (const Param* param : params_) {
    ShownParameter& parameter = shown.emplace_back();
    parameter.name = param->name;
    parameter.shape = param->spec.file_shape;
    parameter.values = in_file_order(*param, param->value);
    if (!param->trains) continue;
    const std::vector<float> gradient =
        trainer_.gradient({param->offset, param->offset + param->elements});
    const Tensor host = host_tensor({param->elements}, DType::kFloat32);
    std::ranges::copy(gradient, host.span<float>().begin());
    Tensor flat = backend.empty({param->elements});
    backend.copy(host, flat);
    parameter.gradients = in_file_order(*param, flat);
  }
  return shown;
}

}  // namespace lockstep
