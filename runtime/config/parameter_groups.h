// [[optimizer.groups]]: what an optimizer does otherwise for parameters of some names.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/config/config.h"

namespace lockstep {

struct ParameterGroup {
  std::vector<std::string> match;      // patterns, see runtime/step/name_patterns.h
  double lr_scale = 1;                 // factor of the learning rate
  std::optional<double> weight_decay;  // instead of optimizer.weight_decay
  std::string where;                   // "digits.toml:12: optimizer.groups[0].match"
};

// In the config's order: the first group that matches a parameter counts. Throws Error naming file,
// line and key.
std::vector<ParameterGroup> parameter_groups(const OptimizerConfig& optimizer);

}  // namespace lockstep
