#include "launch/check/step_report.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "io/formats/npy.h"

namespace lockstep {

namespace {

constexpr std::int64_t kShownInFull = 64;  // elements
constexpr std::int64_t kFirstValues = 6;

std::string number(double value) {
  return std::isnan(value) ? "-" : fmt::format("{:.6g}", value);
}

std::string list(std::span<const float> values) {
  std::string text;
  for (const float value : values) text += (text.empty() ? "" : "  ") + number(value);
  return text;
}

std::string shortened(std::span<const float> values) {
  double low = values[0], high = values[0], sum = 0, squares = 0;
  for (const double value : values) {
    low = std::min(low, value);
    high = std::max(high, value);
    sum += value;
    squares += value * value;
  }
  return fmt::format("from {} to {}, mean {}, norm {}\n      {}  ...", number(low), number(high),
                     number(sum / static_cast<double>(values.size())), number(std::sqrt(squares)),
                     list(values.first(kFirstValues)));
}

// "name (2, 3)", then the values: a line a vector of the last axis.
std::string block(const std::string& name, const Tensor& tensor) {
  std::string text = fmt::format("  {} {}\n", name, tensor.shape().to_string());
  if (tensor.dtype() != DType::kFloat32)
    return text + fmt::format("      values of type {}\n", name_of(tensor.dtype()));
  const std::span<const float> values = tensor.span<float>();
  if (values.empty()) return text;
  if (tensor.elements() > kShownInFull) return text + "      " + shortened(values) + "\n";
  const auto columns = static_cast<std::size_t>(tensor.shape().back());
  for (std::size_t at = 0; at < values.size(); at += columns)
    text += "      " + list(values.subspan(at, columns)) + "\n";
  return text;
}

std::string verdict(const Differences& differences, std::int64_t elements) {
  return fmt::format(
      "      finite differences of {} of {} elements: {} (largest deviation {} of the largest "
      "gradient)\n",
      differences.taken, elements, differences.agree ? "agree" : "DO NOT AGREE",
      number(differences.deviation));
}

std::string checked_gradient(const std::string& name, const Tensor& gradient,
                             const Differences& differences) {
  std::string text = block(name, gradient);
  if (gradient.elements() <= kShownInFull)
    text += block(name + " by differences", differences.values);
  return text + verdict(differences, gradient.elements());
}

}  // namespace

std::string step_report(const StepReportInput& input) {
  const StepTrace& trace = input.trace;
  std::string text = "forward\n" + block("input", trace.input);
  for (const TracedLayer& layer : trace.layers)
    text += block("output of " + layer.path, layer.output);
  text += fmt::format("loss ({}): {:.9g}", input.loss_name, trace.loss);
  for (const auto& [name, value] : trace.metrics)
    text += fmt::format("  {} {}", name, number(value));

  text += "\n\nbackward: gradients of the loss with respect to\n";
  for (std::size_t i = trace.layers.size(); i-- > 0;) {
    if (trace.layers[i].gradient)
      text += block("output of " + trace.layers[i].path, trace.layers[i].gradient);
  }
  if (trace.input_gradient)
    text += checked_gradient("input", trace.input_gradient, trace.input_differences);

  text += fmt::format("\nparameters, and one update at learning rate {}\n", number(input.lr));
  for (const TracedParameter& parameter : trace.parameters) {
    text += block(parameter.name, parameter.value);
    if (parameter.gradient)
      text +=
          checked_gradient(parameter.name + " gradient", parameter.gradient, parameter.differences);
    if (parameter.gradient && !input.applied.empty())
      text +=
          block(parameter.name + " gradient, " + input.changes, input.applied.at(parameter.name));
    text += block(parameter.name + " after the update", input.updated.at(parameter.name));
  }
  return text;
}

void save_step(const StepReportInput& input, const std::string& folder) {
  std::filesystem::create_directories(folder);
  const auto save = [&](const std::string& name, const Tensor& tensor) {
    if (tensor) write_npy(fmt::format("{}/{}.npy", folder, name), tensor);
  };
  const StepTrace& trace = input.trace;
  save("input", trace.input);
  save("input-gradient", trace.input_gradient);
  for (const TracedLayer& layer : trace.layers) {
    save("output." + layer.path, layer.output);
    save("gradient." + layer.path, layer.gradient);
  }
  for (const TracedParameter& parameter : trace.parameters) {
    save("parameter." + parameter.name, parameter.value);
    save("parameter-gradient." + parameter.name, parameter.gradient);
    if (parameter.gradient && !input.applied.empty())
      save("parameter-gradient-applied." + parameter.name, input.applied.at(parameter.name));
    save("parameter-after." + parameter.name, input.updated.at(parameter.name));
  }
}

}  // namespace lockstep
