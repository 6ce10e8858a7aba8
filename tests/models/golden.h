// What tests against PyTorch's numbers share: inputs and weights that the scripts of tests/golden
// make by the same arithmetic, and comparisons within float32's rounding of PyTorch's float64.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/models/rig.h"

namespace lockstep {

using Json = nlohmann::json;

// SplitMix64 of (seed, index), upper 24 bits, in [-1, 1): as tests/golden/hashed.py has it.
inline std::vector<float> hashed(std::uint64_t seed, std::int64_t count) {
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

inline Tensor tensor_of(const Shape& shape, const std::vector<float>& values) {
  Tensor tensor = host_tensor(shape, DType::kFloat32);
  std::ranges::copy(values, tensor.span<float>().begin());
  return tensor;
}

inline std::vector<double> file_order(Rig& rig, const Param& param, const Tensor& flat) {
  Tensor values = host_tensor(param.spec.file_shape, DType::kFloat32);
  rig.backend->to_file_order(param.spec.layout, param.spec.file_shape, flat, values);
  return {values.span<float>().begin(), values.span<float>().end()};
}

inline void expect_near(const std::vector<double>& found, const std::vector<double>& wanted,
                        double tolerance, const std::string& name) {
  ASSERT_EQ(found.size(), wanted.size()) << name;
  double largest = 1;
  for (const double value : wanted) largest = std::max(largest, std::abs(value));
  for (std::size_t i = 0; i < wanted.size(); ++i)
    ASSERT_NEAR(found[i], wanted[i], tolerance * largest) << name << "[" << i << "]";
}

inline std::vector<double> doubles_of(const Tensor& tensor) {
  return {tensor.span<float>().begin(), tensor.span<float>().end()};
}

// As hashed.py's set_weights. The seeds follow the order of the parameters.
template <typename IsFactor>
void set_weights(Rig& rig, double variance, const IsFactor& is_factor) {
  std::uint64_t seed = 0;
  for (const Param& param : rig.params.all()) {
    std::vector<float> values = hashed(seed++, param.elements);
    const Shape& shape = param.spec.file_shape;
    if (shape.rank() > 1) {
      const double fan_in = static_cast<double>(param.elements / shape[0]);
      const auto scale = static_cast<float>(std::sqrt(3.0 * variance / fan_in));
      for (float& value : values) value *= scale;
    } else {
      for (float& value : values) value = 0.5f * value + (is_factor(param.name) ? 1.0f : 0.0f);
    }
    Tensor target = param.value;
    rig.backend->from_file_order(param.spec.layout, shape, tensor_of(shape, values), target);
  }
}

struct Tolerance {
  double of_norm, absolute;
};

// Against hashed.py's summary: norm, product with hashed numbers, first elements.
inline void expect_summary(const std::vector<double>& found, std::uint64_t seed, const Json& wanted,
                           const Tolerance& tolerance, const std::string& name) {
  const std::vector<float> weights = hashed(seed, static_cast<std::int64_t>(found.size()));
  double squares = 0, projection = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    squares += found[i] * found[i];
    projection += found[i] * weights[i];
  }
  const double norm = wanted["norm"].get<double>();
  const double allowed = tolerance.of_norm * norm + tolerance.absolute;
  EXPECT_NEAR(std::sqrt(squares), norm, allowed) << name;
  EXPECT_NEAR(projection, wanted["projection"].get<double>(), allowed) << name;
  const auto first = wanted["first"].get<std::vector<double>>();
  for (std::size_t i = 0; i < first.size(); ++i)
    EXPECT_NEAR(found[i], first[i], allowed) << name << "[" << i << "]";
}

// names: PyTorch's order of parameters, which the seeds of the products follow.
inline void check_gradients(Rig& rig, const Json& names, const Json& gradients) {
  std::size_t seed = 2000;
  for (const Json& name : names) {
    if (!gradients.contains(name.get<std::string>())) continue;  // a statistic
    const Param& param = *rig.params.find(name.get<std::string>());
    expect_summary(file_order(rig, param, param.grad), seed++, gradients[param.name], {2e-5, 1e-6},
                   param.name);
  }
}

// A file of tests/golden.
inline Json read_golden(const std::string& name) {
  const std::string here = __FILE__;
  const std::string path = here.substr(0, here.rfind("tests/models")) + "tests/golden/" + name;
  std::ifstream file(path);
  if (!file.good()) throw Error("{} cannot be read", path);
  return Json::parse(file);
}

}  // namespace lockstep
