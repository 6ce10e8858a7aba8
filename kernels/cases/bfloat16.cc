#include "kernels/cases/bfloat16.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "kernels/cases/case_run.h"
#include "kernels/core/small_floats.h"

namespace lockstep::cases {

namespace {

constexpr std::array<std::string_view, 11> kSliceOperations = {
    "tree_sum", "squared_norms", "scale",   "clamp",           "add_penalty",    "sgd",
    "adam",     "rmsprop",       "adagrad", "running_average", "from_file_order"};

constexpr std::array<std::string_view, 30> kActivations = {
    "x",         "y",       "dy",       "dx",         "kept",          "residual",
    "dresidual", "logits",  "dlogits",  "prediction", "narrow",        "wide",
    "factor",    "dfactor", "qkv",      "dqkv",       "probabilities", "table",
    "gates_x",   "gates_h", "gates",    "h",          "c_before",      "h_before",
    "dh",        "dgates",  "dgates_x", "dgates_h",   "dc_before",     "dh_before"};

template <typename Names>
bool among(const Names& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

bool is_activation(const OpCase& op_case, const std::string& name) {
  if (op_case.operation == "add" && (name == "a" || name == "b")) return true;
  if (op_case.operation == "scale_channels" && name == "shift") return true;
  // The same letters are coefficients of a quadratic.
  if (name == "c" || name == "dc") return op_case.operation.starts_with("lstm");
  if (op_case.operation == "scale_shift") return name == "y";  // x is as the data files have it
  return among(kActivations, name);
}

bool is_product(const OpCase& op_case) {
  return op_case.operation.starts_with("linear_") || op_case.operation.starts_with("conv_");
}

bool has_bias(const OpCase& op_case) {
  return std::ranges::any_of(op_case.arguments, [](const Argument& argument) {
    return argument.name == "bias" && argument.role == Role::kInput;
  });
}

// Roundings to bfloat16 before the last, of terms that may cancel: of a product that something
// follows in another pass, and of cuDNN's gradients of weights, which are widened.
double roundings_between(const OpCase& op_case) {
  if (op_case.operation.ends_with("_inference")) return 2;
  if (op_case.operation == "conv_backward_weights") return 1;
  return op_case.operation.starts_with("conv_") && has_bias(op_case) ? 1 : 0;
}

// As products read them: w from its packed copy, the bias of a linear layer as cuBLASLt takes it.
Values rounded_operands(const OpCase& op_case, const Values& values) {
  Values rounded = with_bfloat16_operands(op_case, values);
  if (op_case.operation.starts_with("linear_") && has_bias(op_case))
    for (double& number : rounded["bias"])
      number = from_bfloat16(to_bfloat16(static_cast<float>(number)));
  return rounded;
}

}  // namespace

std::optional<OpCase> in_bfloat16(const OpCase& op_case) {
  if (among(kSliceOperations, op_case.operation)) return {};
  const bool product = is_product(op_case);
  OpCase changed = op_case;
  bool any = false;
  for (Argument& argument : changed.arguments) {
    if (argument.weight && !product) return {};
    if (argument.name == "packed") argument.type = DType::kBFloat16;
    // What only the reference sees stays exact.
    if (argument.role == Role::kHidden || argument.role == Role::kScratch) continue;
    if (argument.type != DType::kFloat32 || !is_activation(op_case, argument.name)) continue;
    argument.type = DType::kBFloat16;
    any = true;
  }
  if (!any) return {};
  changed.label += " bfloat16";
  changed.tolerance += roundings_between(op_case) * 0x1p16;
  if (product)
    changed.reference = [op_case](const Values& in, Results& out) {
      op_case.reference(rounded_operands(op_case, in), out);
    };
  return changed;
}

}  // namespace lockstep::cases
