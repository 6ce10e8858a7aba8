#include "kernels/cases/epilogue.h"

#include <numbers>

namespace lockstep::cases {

namespace {

// No slope of these exceeds 1.13.
Real activated(Activation::Kind kind, const Real& x) {
  const double v = x.value;
  switch (kind) {
    case Activation::kRelu:
      return {std::max(v, 0.0), x.magnitude};
    case Activation::kSilu:
      return {v / (1 + std::exp(-v)), 1.13 * x.magnitude};
    case Activation::kGelu:
      return {v * std::erfc(-v / std::numbers::sqrt2) / 2, 1.13 * x.magnitude};
    case Activation::kGeluTanh: {
      const double inner = std::sqrt(2 / std::numbers::pi) * (v + 0.044715 * v * v * v);
      return {v / 2 * (1 + std::tanh(inner)), 1.13 * x.magnitude};
    }
    default:
      throw Error("the reference has no activation {}", static_cast<int>(kind));
  }
}

}  // namespace

std::vector<EpilogueForm> epilogue_forms() {
  return {{.label = "batch_norm", .batch_norm = true},
          {.label = "relu", .activation = Activation::kRelu},
          {.label = "gelu", .activation = Activation::kGelu},
          {.label = "gelu_tanh", .activation = Activation::kGeluTanh},
          {.label = "batch_norm silu", .batch_norm = true, .activation = Activation::kSilu},
          {.label = "batch_norm residual relu",
           .batch_norm = true,
           .residual = true,
           .activation = Activation::kRelu}};
}

void follow(const EpilogueForm& form, const Shape& y, OpCase& forward) {
  forward.label += " " + form.label;
  const Shape per_channel = {y.back()};
  if (form.batch_norm) {
    for (const char* name : {"gamma", "beta", "mean"})
      forward.arguments.push_back(input(name, per_channel));
    forward.arguments.push_back(input("var", per_channel, uniform(0.1, 4)));
  }
  if (form.residual) {
    forward.arguments.push_back(input("residual", y));
    forward.bytes += 4.0 * static_cast<double>(y.elements());
  }
  forward.reference = [=, sums = forward.reference](const Values& in, Results& out) {
    sums(in, out);
    const auto channels = static_cast<std::size_t>(y.back());
    for (std::size_t i = 0; i < out["y"].size(); ++i) {
      Real value = out["y"][i];
      if (form.batch_norm) {
        const std::size_t c = i % channels;
        const double deviation = std::sqrt(in["var"][c] + BatchNormOptions{}.epsilon);
        value =
            (value - Real(in["mean"][c])) * Real(in["gamma"][c] / deviation) + Real(in["beta"][c]);
      }
      if (form.residual) value += Real(in["residual"][i]);
      if (form.activation) value = activated(form.activation->kind, value);
      out["y"][i] = value;
    }
  };
}

Epilogue epilogue_of(const EpilogueForm& form, Tensors& tensors) {
  Epilogue epilogue;
  if (form.batch_norm) {
    epilogue.gamma = tensors["gamma"];
    epilogue.beta = tensors["beta"];
    epilogue.running_mean = tensors["mean"];
    epilogue.running_var = tensors["var"];
  }
  if (form.residual) epilogue.residual = tensors["residual"];
  epilogue.activation = form.activation;
  return epilogue;
}

}  // namespace lockstep::cases
