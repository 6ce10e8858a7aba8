#include "models/head.h"

#include <algorithm>

namespace lockstep {

namespace {

constexpr std::string_view kWeight = "weight";

// Recurrent layers and attention have products, too, under names of their own: "weight_ih".
bool is_weight_of_linear(const Param& param) {
  const std::string_view name = param.name;
  return param.spec.layout.kind == ParamLayout::Kind::kLinear &&
         (name == kWeight || name.ends_with(".weight"));
}

}  // namespace

std::optional<std::string> head_scope(const ParamSet& params) {
  const auto& all = params.all();
  const auto last = std::find_if(all.rbegin(), all.rend(), is_weight_of_linear);
  if (last == all.rend()) return std::nullopt;
  std::string scope = last->name.substr(0, last->name.size() - kWeight.size());
  if (!scope.empty()) scope.pop_back();  // the dot
  return scope;
}

bool in_scope(std::string_view name, std::string_view scope) {
  return scope.empty() ||
         (name.starts_with(scope) && (name.size() == scope.size() || name[scope.size()] == '.'));
}

}  // namespace lockstep
