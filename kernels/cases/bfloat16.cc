#include "kernels/cases/bfloat16.h"

#include <algorithm>
#include <array>
#include <string_view>

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

}  // namespace

std::optional<OpCase> in_bfloat16(const OpCase& op_case) {
  if (among(kSliceOperations, op_case.operation)) return {};
  OpCase changed = op_case;
  bool any = false;
  for (Argument& argument : changed.arguments) {
    if (argument.weight) return {};
    // What only the reference sees stays exact.
    if (argument.role == Role::kHidden || argument.role == Role::kScratch) continue;
    if (argument.type != DType::kFloat32 || !is_activation(op_case, argument.name)) continue;
    argument.type = DType::kBFloat16;
    any = true;
  }
  if (!any) return {};
  changed.label += " bfloat16";
  return changed;
}

}  // namespace lockstep::cases
