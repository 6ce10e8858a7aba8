#include "models/initial_values.h"

#include <algorithm>

#include "io/dataset/dataset.h"

namespace lockstep {

namespace {

Param& find_param(ParamSet& params, const std::string& name, const std::string& where) {
  if (Param* param = params.find(name)) return *param;
  std::vector<std::string> names;
  for (const Param& param : params.all()) names.push_back(param.name);
  const std::string nearest = nearest_name(name, names);
  throw Error("{}: the network has no parameter '{}'{}; it has {}", where, name,
              nearest.empty() ? "" : fmt::format(" (did you mean '{}'?)", nearest),
              fmt::join(names, ", "));
}

}  // namespace

void set_initial_values(Backend& backend, ParamSet& params,
                        const std::map<std::string, InitialValue, std::less<>>& initial) {
  for (const auto& [name, given] : initial) {
    Param& param = find_param(params, name, given.where);
    const Tensor numbers = host_tensor(param.spec.file_shape, DType::kFloat32);
    const std::span<float> values = numbers.span<float>();
    if (given.shape.empty()) {
      std::fill(values.begin(), values.end(), static_cast<float>(given.values.front()));
    } else if (std::ranges::equal(given.shape, param.spec.file_shape.sizes())) {
      std::transform(given.values.begin(), given.values.end(), values.begin(),
                     [](double value) { return static_cast<float>(value); });
    } else {
      throw Error(
          "{}: '{}' has the shape {}, not ({}); give nested lists of that shape or one "
          "number for all",
          given.where, name, param.spec.file_shape.to_string(), fmt::join(given.shape, ", "));
    }
    backend.from_file_order(param.spec.layout, param.spec.file_shape, numbers, param.value);
  }
}

}  // namespace lockstep
