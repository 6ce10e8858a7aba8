// Parameters by name patterns: what [[optimizer.groups]] and [[training.phases]] speak of.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/step/params.h"

namespace lockstep {

// A pattern is a name in which * stands for any letters (dots too), ? for one and [12] for one of
// those. It fits a parameter whose name it is, or that lies in a layer whose name it is: "layer1",
// "layer1.*" and "layer[12].*.weight" all fit "layer1.0.conv1.weight".
bool fits(std::string_view pattern, std::string_view parameter);

// Throws Error unless every pattern fits some trainable parameter; it begins with `where` and names
// what is near, and the network's layers.
void check_patterns(const std::vector<std::string>& patterns, const std::string& where,
                    const ParamSet& params);

}  // namespace lockstep
