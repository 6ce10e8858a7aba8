#include "runtime/step/name_patterns.h"

#include <fnmatch.h>

#include <algorithm>

#include "kernels/core/error.h"
#include "runtime/config/config.h"

namespace lockstep {

namespace {

// "layer1", "layer1.0", ..., the whole name.
std::vector<std::string> scopes(std::string_view name) {
  std::vector<std::string> result;
  for (std::size_t dot = name.find('.'); dot != name.npos; dot = name.find('.', dot + 1))
    result.emplace_back(name.substr(0, dot));
  result.emplace_back(name);
  return result;
}

[[noreturn]] void fail(const std::string& pattern, const std::string& where,
                       const ParamSet& params) {
  std::vector<std::string> candidates, layers;
  for (const Param& param : params.all()) {
    if (param.spec.kind != ParamKind::kTrainable) continue;
    const std::vector<std::string> names = scopes(param.name);
    if (std::ranges::find(layers, names.front()) == layers.end()) layers.push_back(names.front());
    for (const std::string& name : names) {
      candidates.push_back(name);
      candidates.push_back(name + ".*");
    }
  }
  const std::string near = nearest_name(pattern, candidates);
  throw Error("{}: no parameter of the network fits '{}'{}; it has {}", where, pattern,
              near.empty() ? "" : fmt::format(" (did you mean '{}'?)", near),
              fmt::join(layers, ", "));
}

}  // namespace

bool fits(std::string_view pattern, std::string_view parameter) {
  const std::string text(pattern);
  return std::ranges::any_of(scopes(parameter), [&](const std::string& scope) {
    return ::fnmatch(text.c_str(), scope.c_str(), 0) == 0;
  });
}

void check_patterns(const std::vector<std::string>& patterns, const std::string& where,
                    const ParamSet& params) {
  for (const std::string& pattern : patterns) {
    const bool any = std::ranges::any_of(params.all(), [&](const Param& param) {
      return param.spec.kind == ParamKind::kTrainable && fits(pattern, param.name);
    });
    if (!any) fail(pattern, where, params);
  }
}

}  // namespace lockstep
