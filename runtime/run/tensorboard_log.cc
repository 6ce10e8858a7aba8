#include "runtime/run/tensorboard_log.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "io/augment/preview.h"
#include "runtime/config/config_schema.h"
#include "runtime/config/config_value.h"
#include "runtime/step/replica.h"

namespace lockstep {

namespace {

constexpr std::int64_t kImages = 8;

HyperParameter hyper_parameter(const ConfigValue& value) {
  if (const bool* flag = std::get_if<bool>(&value.value)) return *flag;
  if (const auto* integer = std::get_if<std::int64_t>(&value.value))
    return static_cast<double>(*integer);
  if (const double* number = std::get_if<double>(&value.value)) return *number;
  if (const auto* text = std::get_if<std::string>(&value.value)) return *text;
  return toml_text(value);
}

// x as the network's first layer gets it: (x - mean) / std, in the layout (rows, values of a row).
std::vector<double> normalised(const Tensor& x, const Shape& sample, const Config& config) {
  Blueprint blueprint;
  blueprint.sample = sample;
  blueprint.x_type = x.dtype();
  if (config.data.normalize)
    set_normalization(blueprint, config.data.mean, config.data.std);
  else
    set_normalization(blueprint, {}, {});
  std::vector<double> values(static_cast<std::size_t>(x.elements()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = x.dtype() == DType::kUInt8 ? x.data<std::uint8_t>()[i] : x.data<float>()[i];
    if (blueprint.scale.empty()) continue;
    const std::size_t place = i % blueprint.scale.size();
    values[i] = values[i] * blueprint.scale[place] + blueprint.shift[place];
  }
  return values;
}

}  // namespace

void TensorBoardLog::hyper_parameters(const Config& config,
                                      const std::vector<std::string>& metrics) {
  std::vector<std::pair<std::string, HyperParameter>> parameters;
  for (const ConfigKey& key : config_schema())
    if (key.role == KeyRole::kMathematical)
      if (const auto value = resolved_value(key, config))
        parameters.emplace_back(key.path, hyper_parameter(*value));
  for (const auto& [key, entry] : config.model.table.entries())
    parameters.emplace_back("model." + key, hyper_parameter(entry.value));
  std::vector<std::string> tags;
  for (const std::string split : {"train", "validation"}) {
    if (split == "validation" && config.data.validation.empty()) continue;
    tags.push_back(split + "/loss");
    for (const std::string& name : metrics) tags.push_back(split + "/" + name);
  }
  file_.hyper_parameters(config.run.name, parameters, tags);
}

void TensorBoardLog::images(const Dataset& data, const Augmentation* augmentation,
                            const Config& config) {
  const Shape sample = augmentation ? augmentation->sample_shape() : data.sample_shape();
  const std::int64_t channels = sample.rank() == 3 ? sample[2] : 0;
  if ((channels != 1 && channels != 3) || data.x_type() == DType::kInt64) return;
  const std::int64_t rows = std::min(kImages, data.rows());
  std::vector<std::int64_t> ids(static_cast<std::size_t>(rows));
  std::iota(ids.begin(), ids.end(), std::int64_t{0});
  RowBlock stored(layout_of(data), rows);
  data.read(ids, stored.x, stored.y, stored.weight);
  const Tensor x = augmentation ? preview(stored, *augmentation, 0, ids).x : stored.x;

  const std::vector<double> values = normalised(x, sample, config);
  const auto [min, max] = std::minmax_element(values.begin(), values.end());
  const double scale = *max > *min ? 255 / (*max - *min) : 0;
  const std::int64_t pixels = sample.elements();
  for (std::int64_t row = 0; row < rows; ++row) {
    const Tensor image = host_tensor(sample, DType::kUInt8);
    for (std::int64_t i = 0; i < pixels; ++i)
      image.data<std::uint8_t>()[i] = static_cast<std::uint8_t>(
          std::lround((values[static_cast<std::size_t>(row * pixels + i)] - *min) * scale));
    file_.image(fmt::format("train/row_{}", row), 0, image);
  }
}

void TensorBoardLog::evaluation(const std::string& split, std::int64_t step,
                                const Evaluation& evaluation) {
  file_.scalar(split + "/loss", step, evaluation.loss);
  for (const auto& [name, value] : evaluation.metrics)
    file_.scalar(split + "/" + name, step, value);
}

void TensorBoardLog::scalar(const std::string& tag, std::int64_t step, double value) {
  file_.scalar(tag, step, value);
}

void TensorBoardLog::histograms(std::int64_t step, const ParamSet& params,
                                std::span<const float> gradient) {
  for (const Param& param : params.all()) {
    if (param.spec.kind != ParamKind::kTrainable) continue;
    const auto begin = static_cast<std::size_t>(param.offset);
    const auto count = static_cast<std::size_t>(param.elements);
    const Tensor values = param.value.to_host();
    file_.histogram("weights/" + param.name, step, Histogram::of(values.span<float>()));
    if (!param.trains) continue;
    file_.histogram("gradients/" + param.name, step, Histogram::of(gradient.subspan(begin, count)));
  }
}

}  // namespace lockstep
